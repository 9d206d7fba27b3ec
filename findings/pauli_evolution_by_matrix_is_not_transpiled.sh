#!/usr/bin/env bash
# Qiskit cannot transpile an evolution gate whose synthesis is its own MatrixExponential.
#
# Versions   qiskit 2.6.2
# Valid input  PauliEvolutionGate(XX + ZI, time=0.9, synthesis=MatrixExponential()) in a circuit of two qubits
# Behaviour  transpile raises AttributeError, because a plug-in asks every synthesis for an attribute that
#            this one lacks. The gate's definition exists: decompose() writes it.
# Output seen  AttributeError: 'MatrixExponential' object has no attribute 'preserve_order'
#
# Fails when this changes. Installs into a temporary folder.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "qiskit==2.6.2"
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
from qiskit import QuantumCircuit, transpile
from qiskit.circuit.library import PauliEvolutionGate
from qiskit.quantum_info import SparsePauliOp
from qiskit.synthesis import MatrixExponential

gate = PauliEvolutionGate(SparsePauliOp(["XX", "ZI"]), time=0.9, synthesis=MatrixExponential())
circuit = QuantumCircuit(2)
circuit.append(gate, [0, 1])
assert circuit.decompose().count_ops(), "the definition exists"
try:
    transpile(circuit, basis_gates=["rz", "sx", "cx"])
except AttributeError as error:
    print("AttributeError:", error)
    assert "preserve_order" in str(error)
else:
    raise AssertionError("it was transpiled")
PYTHON
echo "as stated"

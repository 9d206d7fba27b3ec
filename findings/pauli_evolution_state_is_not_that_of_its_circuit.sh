#!/usr/bin/env bash
# Qiskit's Statevector of an evolution gate is not the state that the transpiled circuit prepares.
#
# Versions   qiskit 2.6.2
# Valid input  PauliEvolutionGate(XX + ZI, time=0.9) with its default synthesis, in a circuit of two qubits
# Behaviour  Statevector takes the exact exponential; transpile and decompose write one step of the product
#            formula, which is another circuit where the strings do not commute. Nothing says which of the
#            two a program has. So a state of the library is no reference for the circuit that is run.
# Output seen  fidelity of the two states: 0.879605
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
from qiskit.quantum_info import SparsePauliOp, Statevector, state_fidelity

circuit = QuantumCircuit(2)
circuit.append(PauliEvolutionGate(SparsePauliOp(["XX", "ZI"]), time=0.9), [0, 1])
run = transpile(circuit, basis_gates=["rz", "sx", "cx"], optimization_level=0)
found = round(state_fidelity(Statevector(circuit), Statevector(run)), 6)
print("fidelity of the two states:", found)
assert found == 0.879605
PYTHON
echo "as stated"

#!/usr/bin/env bash
# Aer's automatic method fails on wide circuits that its matrix product states run at once.
#
# Versions   qiskit 2.6.2, qiskit-aer 0.18.2
# Valid input  A chain of CNOTs on 40 qubits with one rotation, measured; 10 shots
# Behaviour  The documentation says that `automatic` selects the method from the circuit and the noise.
#            The rotation excludes the stabilizer method, and `automatic` then takes the statevector,
#            whatever memory there is: the result has success False, and its status asks for
#            16,777,216 MB. With method="matrix_product_state" the same circuit runs in milliseconds.
#            No exception is raised until the counts are read.
# Output seen  automatic: False, statevector, Insufficient memory
#              matrix_product_state: True, matrix_product_state, COMPLETED
#
# Fails when this changes. Installs into a temporary folder.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "qiskit==2.6.2" "qiskit-aer==0.18.2"
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import logging

from qiskit import QuantumCircuit
from qiskit_aer import AerSimulator

logging.disable(logging.CRITICAL)
circuit = QuantumCircuit(40)
circuit.h(0)
for qubit in range(39):
    circuit.cx(qubit, qubit + 1)
circuit.ry(0.3, 5)
circuit.measure_all()
found = {}
for method in ("automatic", "matrix_product_state"):
    result = AerSimulator(method=method).run(circuit, shots=10, seed_simulator=1).result()
    lacks_memory = "Insufficient memory" in result.status
    status = "Insufficient memory" if lacks_memory else result.status
    found[method] = (result.success, result.results[0].metadata["method"], status)
    print(f"{method}: {', '.join(map(str, found[method]))}")
assert found == {
    "automatic": (False, "statevector", "Insufficient memory"),
    "matrix_product_state": (True, "matrix_product_state", "COMPLETED"),
}, found
PYTHON
echo "as stated"

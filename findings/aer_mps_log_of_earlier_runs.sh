#!/usr/bin/env bash
# Aer's log of matrix product states holds the runs of every simulator of the process.
#
# Versions   qiskit 2.6.2, qiskit-aer 0.18.2
# Valid input  Two simulators with method="matrix_product_state" and mps_log_data=True, one of them
#              with a bond dimension of 2; a Bell state, 6 qubits on the other, the Bell state again
# Behaviour  Result metadata MPS_log_data comes from one log that is never emptied: the second
#            result of the Bell state contains the gates and the discarded weights of the six qubits.
#            A sum over one result says that an exact run was truncated; nothing is reported.
# Output seen  Bell state alone: 1 gate, 0 discarded values
#              Bell state after six qubits: 22 gates, 9 discarded values
#
# Fails when this changes. Installs into a temporary folder.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "qiskit==2.6.2" "qiskit-aer==0.18.2"
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import re

from qiskit import QuantumCircuit
from qiskit_aer import AerSimulator

METHOD = {"method": "matrix_product_state", "mps_log_data": True}


def log(simulator, circuit):
    result = simulator.run(circuit, shots=10, seed_simulator=1).result()
    text = result.results[0].metadata["MPS_log_data"]
    return len(re.findall(r"I\d+:", text)), text.count("discarded_value")


bell = QuantumCircuit(2)
bell.h(0)
bell.cx(0, 1)
bell.measure_all()
wide = QuantumCircuit(6)
for layer in range(4):
    for qubit in range(6):
        wide.ry(0.4 + 0.3 * qubit + layer, qubit)
    for qubit in range(5):
        wide.cx(qubit, qubit + 1)
wide.measure_all()

exact = AerSimulator(**METHOD)
alone = log(exact, bell)
log(AerSimulator(**METHOD, matrix_product_state_max_bond_dimension=2), wide)
after = log(exact, bell)
print("Bell state alone:", alone[0], "gate,", alone[1], "discarded values")
print("Bell state after six qubits:", after[0], "gates,", after[1], "discarded values")
assert alone == (1, 0), alone
assert after[0] > 20 and after[1] > 0, after
PYTHON
echo "as stated"

#!/usr/bin/env bash
# Qiskit's OpenQASM 2 text takes a gate of one's own for the library gate of the same name.
#
# Versions   qiskit 2.6.2
# Valid input  a subcircuit of one X gate, QuantumCircuit(1, name="h").to_gate(), appended to a circuit
#            and written by qasm2.dumps
# Behaviour  The text has the line `h q[0];` and no definition, so it is a Hadamard gate: read back,
#            the state is (|0> + |1>)/√2 for |1>. Nothing is reported. qasm3.dumps renames such a gate
#            (`gate h_0`) and is right.
# Output seen  OpenQASM 2: probability of |1> 0.5 / OpenQASM 3: 1.0
#
# Fails when this changes. Installs into a temporary folder.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "qiskit==2.6.2" "qiskit-qasm3-import==0.6.0"
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
from qiskit import QuantumCircuit, qasm2, qasm3
from qiskit.quantum_info import Statevector

own = QuantumCircuit(1, name="h")
own.x(0)
circuit = QuantumCircuit(1)
circuit.append(own.to_gate(), [0])
assert Statevector(circuit).probabilities()[1] == 1.0

text = qasm2.dumps(circuit)
assert "gate" not in text.replace("include", "") and "h q[0];" in text, text
second = round(float(Statevector(qasm2.loads(text)).probabilities()[1]), 6)
third = round(float(Statevector(qasm3.loads(qasm3.dumps(circuit))).probabilities()[1]), 6)
print("OpenQASM 2: probability of |1>", second, "/ OpenQASM 3:", third)
assert second == 0.5
assert third == 1.0
PYTHON
echo "as stated"

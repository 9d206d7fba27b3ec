#!/usr/bin/env bash
# Qiskit's OpenQASM 3 text of a controlled gate with an angle 2a turns by 4a.
#
# Versions   qiskit 2.6.2, qiskit-qasm3-import 0.6.0
# Valid input  RYYGate(2 * a).control(1) and RGate(b, a).control(1), written by qasm3.dumps
# Behaviour  A controlled gate that stdgates.inc lacks is defined with its bound parameters as its
#            formal ones: the body of `gate cryy(a)` has crz(2*a), and it is called as cryy(2*a).
#            Of several parameters the formal ones are sorted by name and the actual ones are not:
#            `gate cr(a, b)` is called as cr(b, a). Read back, the first has the angle 4a, the second
#            has a and b exchanged; nothing is reported. The text of circuit.decompose() is right.
# Output seen  cryy(2*a) is the circuit's at 2a instead of a: True / at a: False / decomposed: True
#              cr(b, a) is the circuit's with a and b exchanged: True / as they are: False
#
# Fails when this changes. Installs into a temporary folder.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "qiskit==2.6.2" "qiskit-qasm3-import==0.6.0"
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
from qiskit import QuantumCircuit, qasm3
from qiskit.circuit import Parameter
from qiskit.circuit.library import RGate, RYYGate
from qiskit.quantum_info import Operator

a, b = Parameter("a"), Parameter("b")


def controlled(gate):
    circuit = QuantumCircuit(gate.num_qubits + 1)
    circuit.append(gate.control(1), circuit.qubits)
    return circuit


def same(text, values, circuit, expected):
    found = Operator(qasm3.loads(text).assign_parameters(values))
    return found.equiv(Operator(circuit.assign_parameters(expected)))


circuit = controlled(RYYGate(2 * a))
text = qasm3.dumps(circuit)
assert "gate cryy(a)" in text and "crz(2*a)" in text and "cryy(2*a) q[0], q[1], q[2];" in text, text
twice, once = (same(text, {"a": 0.7}, circuit, {"a": at}) for at in (1.4, 0.7))
decomposed = same(qasm3.dumps(circuit.decompose()), {"a": 0.7}, circuit, {"a": 0.7})
print("cryy(2*a) is the circuit's at 2a instead of a:", twice, "/ at a:", once, "/ decomposed:", decomposed)
assert twice and not once and decomposed

circuit = controlled(RGate(b, a))
text = qasm3.dumps(circuit)
assert "gate cr(a, b)" in text and "cr(b, a) q[0], q[1];" in text, text
exchanged = same(text, {"a": 0.3, "b": 0.9}, circuit, {"a": 0.9, "b": 0.3})
right = same(text, {"a": 0.3, "b": 0.9}, circuit, {"a": 0.3, "b": 0.9})
print("cr(b, a) is the circuit's with a and b exchanged:", exchanged, "/ as they are:", right)
assert exchanged and not right
PYTHON
echo "as stated"

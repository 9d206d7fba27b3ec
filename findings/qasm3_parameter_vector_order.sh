#!/usr/bin/env bash
# Qiskit's OpenQASM 3 round trip renames the elements of a ParameterVector and changes their order.
#
# Versions   qiskit 2.6.2, qiskit-qasm3-import 0.6.0
# Valid input  RY(x[i]) on qubit i for i = 0 … 11, written by qasm3.dumps, read by qasm3.loads
# Behaviour  x[0] comes back as the plain parameter `_x_0_`; `circuit.parameters` then sorts as text
#            (0, 10, 11, 1, 2, …), so a list of values assigned in order reaches other gates: the
#            fidelity with the original state is far from 1, and nothing is reported. Below eleven
#            elements the order happens to be the same.
# Output seen  first names: _x_0_ _x_10_ _x_11_ _x_1_ _x_2_ / fidelity, 12 elements: 0.0618
#
# Fails when this changes. Installs into a temporary folder.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "qiskit==2.6.2" "qiskit-qasm3-import==0.6.0"
"$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
from qiskit import QuantumCircuit, qasm3
from qiskit.circuit import ParameterVector
from qiskit.quantum_info import Statevector


def fidelity(n):
    x = ParameterVector("x", n)
    circuit = QuantumCircuit(n)
    for i in range(n):
        circuit.ry(x[i], i)
    back = qasm3.loads(qasm3.dumps(circuit))
    values = np.linspace(0.1, 2.5, n)
    states = [Statevector(c.assign_parameters(list(values))) for c in (circuit, back)]
    return abs(states[0].inner(states[1])) ** 2, [p.name for p in back.parameters]


ten, _ = fidelity(10)
twelve, names = fidelity(12)
print("first names:", *names[:5], "/ fidelity, 12 elements:", round(twelve, 4))
assert names[:5] == ["_x_0_", "_x_10_", "_x_11_", "_x_1_", "_x_2_"], names
assert ten > 1 - 1e-9, ten
assert twelve < 0.5, twelve
PYTHON
echo "as stated"

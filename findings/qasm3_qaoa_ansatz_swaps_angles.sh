#!/usr/bin/env bash
# Qiskit's OpenQASM 3 text of a QAOAAnsatz is another circuit: cost and mixer angles are swapped.
#
# Versions   qiskit 2.6.2, qiskit-qasm3-import 0.6.0
# Valid input  QAOAAnsatz of ZZI + 0.5 IZZ with reps=2, written by qasm3.dumps
# Behaviour  The text defines gate QAOA with its parameters sorted (β0, β1, γ0, γ1) and calls it in
#            the order of the layers (γ0, β0, γ1, β1). Read back and bound by name, the state differs
#            from that of the circuit; nothing is reported. The text of circuit.decompose(reps=3)
#            and that of the function qaoa_ansatz define no such gate and are right.
# Output seen  gate QAOA(_β_0_, _β_1_, _γ_0_, _γ_1_) is called as QAOA(_γ_0_, _β_0_, _γ_1_, _β_1_)
#              fidelity with the circuit: as it is 0.4947, decomposed 1.0
#
# Fails when this changes. Installs into a temporary folder.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "qiskit==2.6.2" "qiskit-qasm3-import==0.6.0"
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import re

from qiskit import qasm3
from qiskit.circuit.library import QAOAAnsatz
from qiskit.quantum_info import SparsePauliOp, Statevector

VALUES = {"β[0]": 0.3, "β[1]": 0.9, "γ[0]": 0.5, "γ[1]": 1.7}


def plain(name):
    return "_" + name.replace("[", "_").replace("]", "_")


def state(circuit):
    by_name = {**VALUES, **{plain(name): value for name, value in VALUES.items()}}
    return Statevector(circuit.assign_parameters({p: by_name[p.name] for p in circuit.parameters}))


circuit = QAOAAnsatz(SparsePauliOp(["ZZI", "IZZ"], [1.0, 0.5]), reps=2)
text = qasm3.dumps(circuit)
defined = re.search(r"gate QAOA\(([^)]*)\)", text)[1]
called = re.search(r"^QAOA\(([^)]*)\)", text, re.MULTILINE)[1]
print(f"gate QAOA({defined}) is called as QAOA({called})")
whole = state(circuit)
fidelity = [
    abs(whole.inner(state(qasm3.loads(qasm3.dumps(each))))) ** 2
    for each in (circuit, circuit.decompose(reps=3))
]
print("fidelity with the circuit: as it is", round(fidelity[0], 4), "decomposed", round(fidelity[1], 4))
assert defined != called
assert fidelity[0] < 0.9, fidelity
assert fidelity[1] > 1 - 1e-9, fidelity
PYTHON
echo "as stated"

#!/usr/bin/env bash
# Aer runs a controlled rotation with the angle 0 for whatever value is bound at run time.
#
# Versions   qiskit 2.6.2, qiskit-aer 0.18.2
# Valid input  run(circuit, parameter_binds=[{a: [1.0, 2.0]}]) of a statevector simulator, with one gate
#              that depends on a; the state is compared with that of circuit.assign_parameters({a: value})
# Behaviour  For rx, p, rzz and others there are two results, each right. For cp, crx, cry, crz and mcp there
#            is one result in place of two, its state is that of the angle 0, and its status is COMPLETED.
#            Nothing is raised and nothing is warned of. Bound before the run, the same gates are right.
# Output seen  rx: 2 of 2 results, the right state
#              p: 2 of 2 results, the right state
#              rzz: 2 of 2 results, the right state
#              cp: 1 of 2 results, the state of the angle 0
#              crx: 1 of 2 results, the state of the angle 0
#              cry: 1 of 2 results, the state of the angle 0
#              crz: 1 of 2 results, the state of the angle 0
#              mcp: 1 of 2 results, the state of the angle 0
#
# Fails when this changes. Installs into a temporary folder.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "qiskit==2.6.2" "qiskit-aer==0.18.2"
"$folder/venv/bin/python" -W error::UserWarning - <<'PYTHON'
import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit_aer import AerSimulator

VALUES = [1.0, 2.0]
a = Parameter("a")
simulator = AerSimulator(method="statevector")


def circuit_with(gate):
    """The gate between turns that make every angle of it visible."""
    circuit = QuantumCircuit(2)
    circuit.ry(0.8, 0)
    circuit.ry(1.1, 1)
    arguments = {"rx": (a, 0), "p": (a, 0), "mcp": (a, [0], 1)}.get(gate, (a, 0, 1))
    getattr(circuit, gate)(*arguments)
    circuit.ry(0.5, 0)
    circuit.ry(0.3, 1)
    circuit.save_statevector()
    return circuit


def state(circuit, value):
    return np.asarray(simulator.run(circuit.assign_parameters({a: value})).result().get_statevector())


def same(one, other):
    return abs(abs(np.vdot(one, other)) - 1) < 1e-9


found = {}
for gate in ("rx", "p", "rzz", "cp", "crx", "cry", "crz", "mcp"):
    circuit = circuit_with(gate)
    result = simulator.run(circuit, parameter_binds=[{a: VALUES}]).result()
    assert result.status == "COMPLETED", result.status
    states = [np.asarray(result.get_statevector(k)) for k in range(len(result.results))]
    right = all(same(seen, state(circuit, value)) for seen, value in zip(states, VALUES))
    zero = all(same(seen, state(circuit, 0.0)) for seen in states)
    assert right != zero, (right, zero)
    found[gate] = len(states), right
    what = "the right state" if right else "the state of the angle 0"
    print(f"{gate}: {len(states)} of {len(VALUES)} results, {what}")
right, wrong = ("rx", "p", "rzz"), ("cp", "crx", "cry", "crz", "mcp")
assert found == {**dict.fromkeys(right, (2, True)), **dict.fromkeys(wrong, (1, False))}, found
PYTHON
echo "as stated"

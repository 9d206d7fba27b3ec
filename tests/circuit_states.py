"""States of circuits, ours and Qiskit's, for tests that compare them."""

from __future__ import annotations

import numpy as np
from qiskit import QuantumCircuit
from qiskit.quantum_info import Operator, Statevector

from qstore_ray.circuits.circuit import Circuit
from qstore_ray.circuits.qasm.reader import from_text
from qstore_ray.simulate import reference

V3 = 'OPENQASM 3.0;\ninclude "stdgates.inc";\n'
V2 = 'OPENQASM 2.0;\ninclude "qelib1.inc";\n'


def state(circuit: Circuit, params: np.ndarray | None = None, x: np.ndarray | None = None):
    """The state of our circuit for one row of features."""
    params = np.zeros(circuit.template.n_params) if params is None else params
    rows = np.zeros((1, circuit.n_features)) if x is None else np.atleast_2d(x)
    return reference.states(circuit.template, circuit.angles(rows), params)[0]


def overlap(circuit: Circuit, theirs: QuantumCircuit, params: np.ndarray | None = None) -> float:
    """|⟨ours|theirs⟩|² with the parameters in Qiskit's order."""
    bound = theirs.assign_parameters([] if params is None else params)
    return float(abs(np.vdot(state(circuit, params), Statevector(bound).data)) ** 2)


def same_state(text: str, plain: str, n_qubits: int) -> bool:
    """Whether a text builds the state that Qiskit's gates `plain` (`h 0; cx 0 1`) build."""
    circuit = QuantumCircuit(n_qubits)
    for line in filter(None, map(str.strip, plain.split(";"))):
        name, *rest = line.split()
        angles = [float(word) for word in rest if "." in word]
        getattr(circuit, name)(*angles, *(int(word) for word in rest if "." not in word))
    return abs(overlap(from_text(text), circuit) - 1) < 1e-12


def matrix_of(text: str, n_qubits: int) -> np.ndarray:
    """The unitary of a text's gates without parameters; qubit 0 is the most significant bit."""
    theirs = QuantumCircuit(n_qubits)
    for op in from_text(text).template.ops:
        getattr(theirs, op.gate)(*(angle.offset for angle in op.angles), *op.qubits)
    return np.asarray(Operator(theirs.reverse_bits()).data)


def equal_up_to_phase(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two unitaries do the same."""
    return abs(abs(np.trace(a.conj().T @ b)) / len(a) - 1) < 1e-12

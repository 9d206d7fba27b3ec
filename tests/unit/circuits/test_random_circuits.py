"""Random circuits over Qiskit's standard gates: by every door the state is that of Qiskit."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister, qasm2, qasm3
from qiskit.circuit import Gate, Parameter, ParameterExpression, ParameterVector
from qiskit.circuit.library import get_standard_gate_name_mapping
from qiskit.quantum_info import Pauli, Statevector

from qstore_ray.backends.base import Bindings
from qstore_ray.backends.statevector import StatevectorBackend
from qstore_ray.circuits.circuit import Circuit
from qstore_ray.circuits.load import kept_circuit, load_circuit
from qstore_ray.circuits.observable import Observable
from qstore_ray.circuits.qasm.reader import from_text
from qstore_ray.learn.gradients import GRADIENTS, linearize
from tests.circuit_states import state

GATES = {
    name: gate
    for name, gate in get_standard_gate_name_mapping().items()
    if name not in ("measure", "reset", "delay", "global_phase")
}
X = ParameterVector("x", 3)
FEATURES = [p.name for p in X]
LEARNED = [*ParameterVector("theta", 12), *map(Parameter, ("alpha", "b_2", "b_10", "γ"))]
CONSTANTS = (math.pi / 2, -math.pi / 4, math.pi, 0.0, 1e-3, 3.0, -6.2)
SCALES = (1, -1, 2, 0.5, -0.3, 1 / 3)
DEEPEST = 2
Drawn = random.Random
Angle = float | ParameterExpression


def _constant(drawn: Drawn) -> Angle:
    return drawn.choice(CONSTANTS)


def _angle(drawn: Drawn) -> Angle:
    """A constant, an affine sum of trained parameters, or one plus a formula of features."""
    kind = drawn.randrange(5)
    learned = drawn.choice(SCALES) * drawn.choice(LEARNED)
    if kind == 0:
        return _constant(drawn)
    if kind == 1:
        return learned + drawn.choice(CONSTANTS) - drawn.choice(LEARNED)
    if kind == 2:
        return drawn.choice(SCALES) * drawn.choice(list(X))
    if kind == 3:
        return (math.pi - drawn.choice(list(X))) * (math.pi - drawn.choice(list(X)))
    return drawn.choice(list(X)) ** 2 + learned


def _gate(drawn: Drawn, n_qubits: int, angle: Callable[[Drawn], Angle]) -> Gate:
    """A standard gate, perhaps inverted or under controls.

    Controlled gates have constant angles: `qasm3.dumps` writes others as gates with other angles.
    """
    found = GATES[drawn.choice([m for m, each in GATES.items() if each.num_qubits <= n_qubits])]
    spare = n_qubits - found.num_qubits
    controls = drawn.randint(1, min(2, spare)) if spare and drawn.randrange(6) == 0 else 0
    angles = [(_constant if controls else angle)(drawn) for _ in found.params]
    gate = type(found)(*angles)
    if controls:
        return gate.control(controls, ctrl_state=drawn.randrange(2**controls), annotated=False)
    return gate.inverse() if drawn.randrange(6) == 0 else gate


def _fill(drawn: Drawn, circuit: QuantumCircuit, angle: Callable[[Drawn], Angle], depth: int):
    for _ in range(drawn.randint(1, 6)):
        kind = drawn.randrange(10)
        if kind == 0 and depth == DEEPEST:
            circuit.barrier()
        elif kind == 1 and depth:
            inner = QuantumCircuit(drawn.randint(1, circuit.num_qubits), name=drawn.choice(NAMES))
            _fill(drawn, inner, angle, depth - 1)
            inner.global_phase = drawn.choice(CONSTANTS)
            qubits = drawn.sample(range(circuit.num_qubits), inner.num_qubits)
            circuit.append(inner.to_gate(), qubits)
        else:
            gate = _gate(drawn, circuit.num_qubits, angle)
            circuit.append(gate, drawn.sample(range(circuit.num_qubits), gate.num_qubits))


NAMES = ("layer", "my gate", "2nd", "émile", "block")
"""Of subcircuits: `qasm2.dumps` takes one that is called as a library gate for that gate."""


def _circuit(drawn: Drawn, angle: Callable[[Drawn], Angle]) -> QuantumCircuit:
    n = drawn.randint(1, 5)
    first = drawn.randint(1, n)
    registers = [QuantumRegister(first, "q")]
    registers += [QuantumRegister(n - first, "anc_1")] if first < n else []
    circuit = QuantumCircuit(*registers)
    _fill(drawn, circuit, angle, DEEPEST)
    match drawn.randrange(3):
        case 0:
            circuit.measure_all()
        case 1:
            circuit.add_register(ClassicalRegister(n, "c"))
            circuit.measure(drawn.sample(range(n), n), range(n))
    return circuit


def _values(circuit: QuantumCircuit) -> tuple[np.ndarray, np.ndarray]:
    """A row of features (F,), and parameters (P,) in the order that the package promises."""
    names = {p.name for p in circuit.parameters}
    n_features = max((k + 1 for k, name in enumerate(FEATURES) if name in names), default=0)
    n_params = len(names - set(FEATURES))
    return np.linspace(0.4, 1.7, n_features), np.linspace(-2.0, 2.5, n_params)


def _natural(name: str) -> tuple[str, int]:
    match = re.fullmatch(r"(.*)\[(\d+)\]", name)
    return (f"{match[1]}[", int(match[2])) if match else (name, -1)


def _bound(theirs: QuantumCircuit, x: np.ndarray, params: np.ndarray) -> Statevector:
    """Qiskit's state, its measurements left out."""
    learned = sorted((p.name for p in theirs.parameters if p.name not in FEATURES), key=_natural)
    values = dict(zip(learned, params, strict=True))
    values |= {name: x[k] for k, name in enumerate(FEATURES[: len(x)])}
    bare = theirs.remove_final_measurements(inplace=False)
    return Statevector(bare.assign_parameters({p: values[p.name] for p in bare.parameters}))


def _check(ours: Circuit, theirs: QuantumCircuit) -> None:
    x, params = _values(theirs)
    assert ours.n_features == len(x)
    assert ours.template.n_params == len(params)
    overlap = abs(np.vdot(state(ours, params, x), _bound(theirs, x, params).data)) ** 2
    assert overlap == pytest.approx(1, abs=1e-9)


@settings(max_examples=60)
@given(st.randoms(use_true_random=False))
def test_an_object_and_its_openqasm_3_are_what_qiskit_computes(tmp_path_factory, drawn):
    theirs = _circuit(drawn, _angle)
    _check(load_circuit(theirs), theirs)
    text = qasm3.dumps(theirs)
    _check(load_circuit(text), theirs)
    file = tmp_path_factory.mktemp("random") / "circuit.qasm"
    file.write_text(text, encoding="utf-8")
    _check(load_circuit(file), theirs)
    if any(p.name in FEATURES for p in theirs.parameters):
        for given_circuit in (theirs, text, file):
            _check(from_text(kept_circuit(given_circuit)), theirs)


@settings(max_examples=40)
@given(st.randoms(use_true_random=False))
def test_openqasm_2_is_what_qiskit_computes(tmp_path_factory, drawn):
    theirs = _circuit(drawn, _constant)
    text = qasm2.dumps(theirs)
    _check(load_circuit(text), theirs)
    file = tmp_path_factory.mktemp("random") / "circuit.qasm"
    file.write_text(text, encoding="utf-8")
    _check(load_circuit(file), theirs)


def test_products_of_products_are_read():
    """Qiskit's own derivative of this angle does not end."""
    angle = x = Parameter("x")
    for _ in range(3):
        angle = (math.pi - angle) * (math.pi - angle)
    theirs = QuantumCircuit(1)
    theirs.ry(angle, 0)
    psi = Statevector(theirs.assign_parameters({x: 2.1})).data
    overlap = abs(np.vdot(state(load_circuit(theirs), x=np.array([2.1])), psi)) ** 2
    assert overlap == pytest.approx(1, abs=1e-9)


STEP = 1e-5


def _slopes(theirs: QuantumCircuit, pauli: str, x: np.ndarray, params: np.ndarray) -> list[float]:
    """Central differences of Qiskit's expectation value in every feature, then every parameter."""
    point = np.concatenate([x, params])

    def value(at: np.ndarray) -> float:
        psi = _bound(theirs, at[: len(x)], at[len(x) :])
        return float(psi.expectation_value(Pauli(pauli)).real)

    steps = STEP * np.eye(len(point))
    return [(value(point + step) - value(point - step)) / (2 * STEP) for step in steps]


@settings(max_examples=15)
@given(st.randoms(use_true_random=False))
def test_gradients_are_the_slopes_of_what_qiskit_computes(drawn):
    theirs = _circuit(drawn, _angle)
    ours = load_circuit(theirs)
    x, params = _values(theirs)
    letters = [drawn.choice("XYZ") for _ in range(theirs.num_qubits)]
    text = " ".join(f"{letter}{qubit}" for qubit, letter in enumerate(letters))
    rows = x[np.newaxis]
    bindings = Bindings(ours.angles(rows), params)
    _, pullback = linearize(
        GRADIENTS["adjoint"](),
        StatevectorBackend(engine="numpy"),
        ours.template,
        (Observable.parse(text),),
        bindings,
        rows_gradient=True,
    )
    found = pullback(np.ones((1, 1)))
    own = ours.pullback(rows, found.rows)[0] if len(x) else np.zeros(0)
    expected = _slopes(theirs, "".join(reversed(letters)), x, params)
    np.testing.assert_allclose([*own, *found.params[0]], expected, atol=1e-6)

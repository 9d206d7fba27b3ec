"""The reference simulator against definitions, Qiskit, and limits that are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from qiskit import QuantumCircuit
from qiskit.quantum_info import Operator, SparsePauliOp, Statevector

from qstore_ray.circuits.gates import GATES
from qstore_ray.circuits.observable import Observable, z_observables
from qstore_ray.circuits.qiskit.qiskit import to_qiskit
from qstore_ray.circuits.template import Op, Template, const, param, row
from qstore_ray.simulate import reference
from qstore_ray.testing.strategies import cases, random_states

ANGLES = (0.7, -1.3, 2.1)

every_gate = pytest.mark.parametrize("gate", GATES)


def _one(gate: str) -> Template:
    """The gate on qubits 2, 0, 1 (as many as it needs) of three."""
    spec = GATES[gate]
    angles = tuple(const(a) for a in ANGLES[: spec.n_angles])
    return Template(3, (Op(gate, (2, 0, 1)[: spec.n_qubits], angles),))


@every_gate
def test_the_matrix_is_qiskits(gate: str):
    spec = GATES[gate]
    circuit = QuantumCircuit(spec.n_qubits)
    getattr(circuit, gate)(*ANGLES[: spec.n_angles], *range(spec.n_qubits))
    expected = Operator(circuit).reverse_qargs().data  # our first qubit is the most significant
    np.testing.assert_allclose(
        reference.matrix(gate, *ANGLES[: spec.n_angles]), expected, atol=1e-15
    )


@every_gate
def test_the_matrix_is_unitary(gate: str):
    u = reference.matrix(gate, *ANGLES[: GATES[gate].n_angles])
    np.testing.assert_allclose(u @ u.conj().T, np.eye(len(u)), atol=1e-15)


@every_gate
def test_a_gate_acts_on_its_qubits_of_a_state(gate: str):
    start = random_states(np.random.default_rng(1), 1, 3)
    template = _one(gate)
    ours = reference.states(
        replace(template, initial="amplitudes"), np.zeros((1, 0)), np.zeros(0), start
    )
    theirs = Statevector(start[0]).evolve(to_qiskit(template)).data
    np.testing.assert_allclose(ours[0], theirs, atol=1e-14)


def test_qubit_0_is_the_least_significant_bit():
    state = reference.states(Template(3, (Op("x", (0,)),)), np.zeros((1, 0)), np.zeros(0))
    np.testing.assert_array_equal(state[0], np.eye(8)[1])


@settings(max_examples=25)
@given(cases(initial=("zeros",)))
def test_states_and_expectations_are_qiskits(case):
    template, observables, bound = case
    circuit = to_qiskit(template)
    states = reference.states(template, bound.rows, bound.params)
    values = reference.expectations(template, observables, bound.rows, bound.params)
    params = np.broadcast_to(bound.params, (len(bound), template.n_params))
    for i in range(len(bound)):
        slots = {"x": bound.rows[i], "p": params[i]}
        bind = {p: slots[p.vector.name][p.index] for p in circuit.parameters}
        psi = Statevector(circuit.assign_parameters(bind))
        np.testing.assert_allclose(states[i], psi.data, atol=1e-12)
        for o, observable in enumerate(observables):
            expected = psi.expectation_value(_qiskit_observable(observable, template.n_qubits))
            assert values[i, o] == pytest.approx(expected.real, abs=1e-12)


def _qiskit_observable(observable: Observable, n_qubits: int) -> SparsePauliOp:
    terms = []
    for term in observable.terms:
        parts = [] if term.label == "I" else term.label.split()
        letters = "".join(part[0] for part in parts)
        terms.append((letters, [int(part[1:]) for part in parts], term.coefficient))
    return SparsePauliOp.from_sparse_list(terms, num_qubits=n_qubits)


def test_a_rotation_gives_the_cosine_and_its_slope():
    template = Template(
        1, (Op("ry", (0,), (row(0),)), Op("ry", (0,), (param(0, scale=2.0),))), 1, 1
    )
    rows, params = np.array([[0.3], [1.1]]), np.array([0.4])
    values = reference.expectations(template, z_observables(1), rows, params)
    np.testing.assert_allclose(values, np.cos(rows + 0.8), atol=1e-14)
    by_row, by_param, amplitudes = reference.central_differences(
        template, z_observables(1), rows, params, np.array([[1.0], [3.0]])
    )
    np.testing.assert_allclose(by_row[:, 0], -np.sin(rows[:, 0] + 0.8) * [1, 3], atol=1e-9)
    np.testing.assert_allclose(by_param[:, 0], -2 * np.sin(rows[:, 0] + 0.8) * [1, 3], atol=1e-9)
    assert amplitudes is None


def test_the_gradient_of_the_amplitudes_is_that_of_a_quadratic_form():
    """⟨ψ|O|ψ⟩ with O hermitian has the gradient 2Oψ, as ∂/∂Re + i·∂/∂Im."""
    template = Template(2, (), initial="amplitudes")
    psi = random_states(np.random.default_rng(2), 3, 2)
    found = reference.central_differences(
        template,
        [Observable.parse("Y0 Z1")],
        np.zeros((3, 0)),
        np.zeros(0),
        np.ones((3, 1)),
        amplitudes=psi,
    )
    operator = np.kron(np.diag([1, -1]), [[0, -1j], [1j, 0]])
    np.testing.assert_allclose(found[2], 2 * psi @ operator.T, atol=1e-9)

"""The Hamiltonian encoding against dense matrices, and the limits where its states are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit.quantum_info import Statevector
from scipy.linalg import expm

from qstore_ray.circuits.library.encodings import hamiltonian, spread_over_sphere
from qstore_ray.circuits.qasm.qasm import to_qasm3
from qstore_ray.circuits.qasm.reader import from_text
from qstore_ray.circuits.qiskit.qiskit import to_qiskit
from qstore_ray.data.prepare.quantum import HALF_TURN, QuantumDataAdapter
from qstore_ray.simulate import reference

PAULIS = {
    "X": np.array([[0, 1], [1, 0]], dtype=complex),
    "Y": np.array([[0, -1j], [1j, 0]]),
    "Z": np.diag([1.0 + 0j, -1.0]),
}


def _coupling(n: int, i: int) -> np.ndarray:
    """XX + YY + ZZ of qubits i and i + 1 as a matrix (2^n, 2^n); qubit 0 is the last factor."""
    pairs = (np.kron(pauli, pauli) for pauli in PAULIS.values())
    return np.kron(np.eye(2 ** (n - i - 2)), np.kron(sum(pairs), np.eye(2**i)))


def _start(n: int) -> np.ndarray:
    state = np.ones(1, dtype=complex)
    for theta, phi in spread_over_sphere(n):
        qubit = [math.cos(theta / 2), np.exp(1j * phi) * math.sin(theta / 2)]
        state = np.kron(qubit, state)
    return state


def _evolved(x: np.ndarray, steps: int, time: float) -> np.ndarray:
    n = len(x) + 1
    state = _start(n)
    for _ in range(steps):
        for i, coupling in enumerate(x):
            state = expm(-1j * time / steps * coupling * _coupling(n, i)) @ state
    return state


def _state(n_qubits: int, x: np.ndarray, **options) -> np.ndarray:
    encoded = hamiltonian(n_qubits, len(x), **options)
    return reference.states(encoded.template, encoded.encode(x[None, :]), np.zeros(0))[0]


def _fidelity(a: np.ndarray, b: np.ndarray) -> float:
    return abs(np.vdot(a, b)) ** 2


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 4), st.integers(1, 5), st.floats(0.1, 3.0), st.integers(0, 2**32 - 1))
def test_it_is_the_product_of_dense_exponentials(n: int, steps: int, time: float, seed: int):
    x = np.random.default_rng(seed).uniform(-2, 2, n - 1)
    found = _state(n, x, steps=steps, time=time)
    assert _fidelity(found, _evolved(x, steps, time)) == pytest.approx(1.0, abs=1e-12)


def test_many_steps_are_the_evolution_under_the_whole_hamiltonian():
    x = np.array([0.7, -0.4, 0.9])
    whole = sum(value * _coupling(4, i) for i, value in enumerate(x))
    exact = expm(-1j * whole) @ _start(4)
    lost = [1 - _fidelity(_state(4, x, steps=steps), exact) for steps in (8, 16, 32)]
    # The state is off by O(1/T), its fidelity by O(1/T²).
    assert lost[0] < 0.02
    assert lost[1] / lost[0] == pytest.approx(0.25, abs=0.05)
    assert lost[2] / lost[1] == pytest.approx(0.25, abs=0.05)


def test_one_feature_turns_from_the_start_to_swapped_qubits_and_back():
    start, top = _start(2), HALF_TURN["hamiltonian"]
    swapped = start[[0, 2, 1, 3]]
    assert _fidelity(_state(2, np.array([0.0])), start) == pytest.approx(1.0)
    assert _fidelity(_state(2, np.array([top])), swapped) == pytest.approx(1.0)
    assert _fidelity(_state(2, np.array([2 * top])), start) == pytest.approx(1.0)
    assert _fidelity(start, swapped) < 0.9
    across = [_fidelity(_state(2, np.array([v])), start) for v in np.linspace(0, top, 9)]
    assert (np.diff(across) < 0).all()  # so no two values within half a turn look the same


def test_no_neighbours_at_the_start_are_nearly_equal():
    angles = np.array(spread_over_sphere(30))
    theta, phi = angles.T
    points = np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)])
    along = (points[:, 1:] * points[:, :-1]).sum(axis=0)
    assert along.max() < 0.4
    assert spread_over_sphere(7) == spread_over_sphere(30)[:7]
    assert np.abs(points.mean(axis=1)).max() < 0.2  # even: they have no common direction


def test_qubits_beyond_the_chain_are_left_alone():
    x = np.array([0.3, 0.8])
    wide = _state(5, x)
    np.testing.assert_allclose(wide[:8], _state(3, x), atol=1e-15)
    assert not wide[8:].any()


def test_it_goes_to_qiskit_and_openqasm():
    x = np.array([0.3, -0.8])
    encoded = hamiltonian(3, 2)
    theirs = to_qiskit(encoded.template).assign_parameters(x)
    assert _fidelity(Statevector(theirs).data, _state(3, x)) == pytest.approx(1.0)
    back = from_text(to_qasm3(encoded.template))
    states = reference.states(back.template, back.angles(x[None, :]), np.zeros(0))
    assert _fidelity(states[0], _state(3, x)) == pytest.approx(1.0)


def test_prepared_rows_at_both_ends_of_a_column_stay_apart():
    x = np.array([[0.0, 5.0, -3.0], [2.0, 9.0, 1.0], [1.0, 7.0, 0.0]])
    rows = QuantumDataAdapter("hamiltonian", 4).fit(x).transform(x)
    assert rows.min() == 0.0
    assert rows.max() == pytest.approx(math.pi / 4)
    for i, j in ((0, 1), (0, 2), (1, 2)):
        assert _fidelity(_state(4, rows[i]), _state(4, rows[j])) < 0.95


def test_the_first_points_of_the_sphere_in_numbers():
    """j = 0 is the middle of the square; 1/ρ = 0.7548776662, 1/ρ² = 0.5698402910."""
    thetas, phis = np.array(spread_over_sphere(3)).T
    u = np.array([0.5, 0.2548776662, 0.0097553325])
    v = np.array([0.5, 0.0698402910, 0.6396805820])
    np.testing.assert_allclose(np.cos(thetas), 1 - 2 * u, atol=1e-9)
    np.testing.assert_allclose(phis, 2 * math.pi * v, atol=1e-9)
    assert spread_over_sphere(0) == []


def test_the_library_takes_four_steps_of_time_1():
    """A model is saved by the name of its encoding: another default would change its circuit."""
    assert hamiltonian(3, 2).template == hamiltonian(3, 2, steps=4, time=1.0).template

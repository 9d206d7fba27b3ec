"""Strings that commute qubit by qubit share a basis; their moments are those of the shots."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qstore_ray.backends.grouping import bits_of, group_observables, moments
from qstore_ray.circuits.observable import Observable, named_observables
from qstore_ray.circuits.template import Template
from qstore_ray.simulate import reference
from qstore_ray.testing.strategies import observables


def _group(*texts: str):
    return group_observables(tuple(map(Observable.parse, texts)))


@pytest.mark.parametrize(
    ("name", "bases"), [("z", 1), ("z+zz", 1), ("x+z", 2), ("x+y+z+xx+yy+zz", 3), ("xy", 4)]
)
def test_named_observables_need_few_bases(name: str, bases: int):
    """Each X_i Y_j of four qubits joins two others: twelve strings, four bases."""
    assert len(group_observables(named_observables(name, 4)).bases) == bases


def test_strings_join_the_first_basis_that_they_fit():
    first, second = _group("Z0 Z1", "X0", "Z2", "X0 Z3", "0.5*I").bases
    assert (first.x, first.z, first.qubits) == (0, 0b0111, (0, 1, 2))
    assert (second.x, second.z, second.qubits) == (0b0001, 0b1000, (0, 3))


def test_strings_that_cancel_and_the_identity_are_not_measured():
    grouping = _group("2*I + Z0 - Z0", "I - 3*I")
    assert grouping.bases == ()
    assert grouping.constants.tolist() == [2.0, -2.0]


def test_the_largest_coefficients_come_first():
    first, _ = _group("0.1*X0 + Z0 + 0.2*Z1").bases
    assert first.qubits == (0, 1)
    assert first.x == 0


@given(st.lists(observables(3), min_size=1, max_size=4))
def test_outcomes_of_all_bases_add_up_to_the_observable(seen: list[Observable]):
    """With the exact distribution of each basis in the place of shots."""
    grouping = group_observables(tuple(seen))
    template = Template(3, (), initial="amplitudes")
    rng = np.random.default_rng(1)
    state = rng.normal(size=(1, 8)) + 1j * rng.normal(size=(1, 8))
    state /= np.linalg.norm(state)
    found = grouping.constants.copy()
    every = bits_of(range(8), 3)
    for basis in grouping.bases:
        turned = reference.states(
            Template(3, basis.turns, initial="amplitudes"),
            np.zeros((1, 0)), np.zeros(0), state,
        )  # fmt: skip
        found += np.abs(turned[0]) ** 2 @ basis.values(every[:, list(basis.qubits)])
    nothing = np.zeros((1, 0)), np.zeros(0)
    exact = reference.expectations(template, tuple(seen), *nothing, state)
    np.testing.assert_allclose(found, exact[0], atol=1e-12)


@given(st.integers(2, 40), st.integers(1, 3), st.integers(0, 2**31))
def test_moments_are_those_of_the_single_shots(shots: int, n_observables: int, seed: int):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(4, n_observables)) + 1e6
    counts = rng.multinomial(shots, [0.1, 0.2, 0.3, 0.4], size=3)
    found = moments(values, counts)
    for row in range(3):
        each = np.repeat(values, counts[row], axis=0)
        np.testing.assert_allclose(found.means[row], each.mean(axis=0))
        np.testing.assert_allclose(
            found.variances[row], each.var(axis=0, ddof=1) / shots, rtol=1e-6, atol=1e-12
        )


def test_one_shot_has_no_variance():
    found = moments(np.array([[1.0], [-1.0]]), np.array([0, 1]))
    assert found.means.tolist() == [-1.0]
    assert found.variances is None


def test_bits_of_many_qubits_are_not_cut_off():
    bits = bits_of([1 << 99 | 1, 0], 100)
    assert bits.shape == (2, 100)
    assert np.flatnonzero(bits[0]).tolist() == [0, 99]
    assert not bits[1].any()

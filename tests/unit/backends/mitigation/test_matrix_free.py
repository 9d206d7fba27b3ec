"""Inversion over observed bit strings: the full inverse if all of them were observed."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from qstore_ray.backends.grouping import group_observables
from qstore_ray.backends.mitigation.inverse_readout import ReadoutMap, corrected
from qstore_ray.backends.mitigation.matrix_free import corrected_values
from qstore_ray.circuits.observable import Observable
from qstore_ray.errors import BackendError

SEEN = tuple(map(Observable.parse, ("Z0", "Z1 Z3", "0.5*Z0 Z1 Z2 Z3 - Z2")))


def _confusions(m: int, largest: float = 0.2) -> np.ndarray:
    p, q = np.random.default_rng(m).uniform(0.0, largest, (2, m))
    return np.array([[1 - p, q], [p, 1 - q]]).transpose(2, 0, 1)


def _all_bits(m: int) -> np.ndarray:
    return np.array(list(product((0, 1), repeat=m)))


def _full_inverse(confusions: np.ndarray) -> np.ndarray:
    whole = np.eye(1)
    for matrix in confusions:  # the first qubit is the most significant bit of `_all_bits`
        whole = np.kron(whole, matrix)
    return np.linalg.inv(whole)


@pytest.mark.parametrize("most_stored", [0, 1000])
@pytest.mark.parametrize("m", [1, 3, 5])
def test_with_all_strings_it_is_the_full_inverse(m: int, most_stored: int):
    bits, confusions = _all_bits(m), _confusions(m)
    values = np.random.default_rng(0).normal(size=(2**m, 3))
    found = corrected_values(confusions, bits, values, most_stored)
    np.testing.assert_allclose(found, _full_inverse(confusions).T @ values, atol=1e-8)


def test_with_all_strings_it_is_the_inversion_qubit_by_qubit():
    confusions = _confusions(4)
    read = ReadoutMap.of(confusions)
    rng = np.random.default_rng(7)
    (basis,), _ = group_observables(SEEN)
    bits = _all_bits(4)
    counts = rng.integers(1, 50, len(bits)).astype(float)
    share = counts / counts.sum()
    found = share @ corrected_values(confusions, bits, basis.values(bits))
    (other,), constants = group_observables(tuple(corrected(each, read) for each in SEEN))
    np.testing.assert_allclose(found, share @ other.values(bits) + constants, atol=1e-10)


@pytest.mark.parametrize("n_strings", [40, 700])
def test_the_iteration_solves_what_the_stored_matrix_solves(n_strings: int):
    m, rng = 12, np.random.default_rng(3)
    bits = np.unique(rng.integers(0, 2, (n_strings, m)), axis=0)
    confusions, values = _confusions(m, 0.1), rng.normal(size=(len(bits), 2))
    stored = corrected_values(confusions, bits, values, most_stored=10_000)
    np.testing.assert_allclose(
        corrected_values(confusions, bits, values, most_stored=0), stored, atol=1e-7
    )


def test_one_string_is_worth_what_it_was():
    bits = np.array([[0, 1, 1]])
    found = corrected_values(_confusions(3), bits, np.array([[0.5, -1.0]]))
    np.testing.assert_allclose(found, [[0.5, -1.0]])


@pytest.mark.parametrize("most_stored", [0, 10])
def test_a_readout_that_says_nothing_is_refused(most_stored: int):
    blind = np.full((1, 2, 2), 0.5)
    with pytest.raises(BackendError, match="cannot be inverted"):
        corrected_values(blind, np.array([[0], [1]]), np.array([[1.0], [-1.0]]), most_stored)

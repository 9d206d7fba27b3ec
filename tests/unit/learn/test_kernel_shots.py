"""A fidelity kernel from shots: binomial, keyed by the two rows alone."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2

from qstore_ray.backends.aer import AerBackend
from qstore_ray.backends.keys import DrawKey, KeyedBackend
from qstore_ray.backends.statevector import StatevectorBackend
from qstore_ray.circuits.circuit import Circuit
from qstore_ray.circuits.library.encodings import ENCODINGS
from qstore_ray.errors import BackendError, ConfigError
from qstore_ray.learn.kernel.kernel import FidelityKernel, ProjectedKernel, kernel_matrix
from qstore_ray.learn.kernel.shots import named_rows
from qstore_ray.train.ray.kernel_matrix import gram_matrix

KEY = DrawKey((3,))
X = np.random.default_rng(3).uniform(0.1, 3.0, (60, 3))
FOUND = ENCODINGS["zz"](3, 3)
CIRCUIT = Circuit(FOUND.template, 3, "zz", FOUND.encode, FOUND.load)


def _kernel(shots: int | None = 100, key: DrawKey = KEY) -> FidelityKernel:
    return FidelityKernel(CIRCUIT, shots=shots, key=key)


@pytest.mark.parametrize("shots", [1, 20, 1000])
def test_estimates_are_binomial(shots: int):
    """Chi-square over the pairs of rows and over keys; pairs that share a row do not go along."""
    exact = FidelityKernel(CIRCUIT).matrix(X)[np.triu_indices(60, 1)]
    scores = []
    for word in range(10):
        counts = _kernel(shots, DrawKey((word,))).matrix(X) * shots
        np.testing.assert_allclose(counts, counts.round(), atol=1e-9)
        found = counts[np.triu_indices(60, 1)]
        scores.append((found - shots * exact) / np.sqrt(shots * exact * (1.0 - exact)))
    scores = np.array(scores)
    fair = shots * np.minimum(exact, 1.0 - exact) > (3 if shots > 1 else 0.2)
    statistic = (scores[:, fair] ** 2).sum()
    spread = 2.0 + (1.0 / (shots * exact * (1.0 - exact)))[fair].mean()
    assert abs(statistic - scores[:, fair].size) < 5.0 * np.sqrt(spread * scores[:, fair].size)
    assert abs(scores[:, fair].mean()) < 5.0 / np.sqrt(scores[:, fair].size)
    if shots == 1000:
        by_row = np.zeros((10, 60, 60))
        by_row[:, *np.triu_indices(60, 1)] = scores
        sums = (by_row + by_row.transpose(0, 2, 1)).sum(axis=2) / np.sqrt(59)
        assert 1e-5 < chi2.sf((sums**2).sum() * 29 / 59, sums.size * 29 / 59) < 1.0 - 1e-5


def test_a_pair_has_the_same_estimate_in_any_block_order_and_matrix():
    kernel = _kernel()
    whole = kernel.matrix(X)
    np.testing.assert_array_equal(whole, whole.T)
    np.testing.assert_array_equal(np.diag(whole), 1.0)
    np.testing.assert_array_equal(kernel_matrix(kernel, X, block=7), whole)
    np.testing.assert_array_equal(kernel.matrix(X[:9], X[9:]), whole[:9, 9:])
    np.testing.assert_array_equal(kernel.matrix(X[::-1])[::-1, ::-1], whole)
    np.testing.assert_array_equal(gram_matrix(kernel, X), whole)
    others = [_kernel(key=DrawKey(words)).matrix(X) for words in ((4,), (3, 0), (3, 1))]
    assert len({whole.tobytes(), *(other.tobytes() for other in others)}) == 4


def test_negative_zero_is_zero():
    states = np.ones((1, 2), complex)
    zero, negative = (named_rows(states, np.array([[value, 1.0]])) for value in (0.0, -0.0))
    assert zero.tobytes() == negative.tobytes()


@pytest.mark.parametrize("shots", [0, -3, True, 1.5])
def test_shots_that_are_no_number_are_refused(shots):
    with pytest.raises(ConfigError, match="shots"):
        _kernel(shots)


def test_shots_without_a_key_and_without_states_are_refused():
    with pytest.raises(BackendError, match="key"):
        FidelityKernel(CIRCUIT, shots=10)
    with pytest.raises(BackendError, match="states"):
        FidelityKernel(CIRCUIT, backend=AerBackend(), shots=10, key=KEY)


@pytest.mark.parametrize("kernel", [FidelityKernel, ProjectedKernel])
@pytest.mark.parametrize(
    "backend",
    [
        StatevectorBackend(shots=10),
        StatevectorBackend(noise={"gates": [{"channel": {"name": "bit_flip", "p": 0.1}}]}),
        AerBackend(shots=10),
    ],
    ids=["shots", "noise", "aer"],
)
def test_a_backend_of_random_values_is_refused_and_its_noise_not_ignored(kernel, backend):
    with pytest.raises(BackendError, match="KeyedBackend"):
        kernel(CIRCUIT, backend=backend)
    found = kernel(CIRCUIT, backend=KeyedBackend(backend, KEY)).matrix(X[:4])
    exact = kernel(CIRCUIT).matrix(X[:4])
    assert (found != exact).any()
    assert found.shape == (4, 4)

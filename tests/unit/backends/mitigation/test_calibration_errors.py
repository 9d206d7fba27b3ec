"""Measured confusion matrices: what their errors make of mitigated values, to first order."""

from __future__ import annotations

import numpy as np
import pytest

from qstore_ray.backends import open_backend
from qstore_ray.backends.base import Bindings
from qstore_ray.backends.counts import OutcomeCounts
from qstore_ray.backends.keys import DrawKey
from qstore_ray.backends.mitigation import calibration, matrix_free
from qstore_ray.backends.mitigation.backend import open_mitigated
from qstore_ray.backends.mitigation.calibration_errors import value_derivatives
from qstore_ray.backends.mitigation.config import MitigationConfig
from qstore_ray.backends.mitigation.inverse_readout import ReadoutMap, corrected
from qstore_ray.backends.mitigation.matrix_free import corrected_values, worth_slopes
from qstore_ray.circuits.observable import Observable
from qstore_ray.circuits.template import Op, Template, param
from qstore_ray.learn.padding import without_padding

PAIR = Template(2, (Op("ry", (0,), (param(0),)), Op("cx", (0, 1))), n_params=1)
SEEN = tuple(map(Observable.parse, ("Z0", "Z0 Z1", "0.5*Z0 Z1 - Z1 + 0.3*X0 X1 + 2*I")))
ONE = Bindings(np.zeros((1, 0)), np.array([1.1]))
READOUT = [[0.9, 0.15], [0.1, 0.85]]


def _probabilities(rng: np.random.Generator, n: int) -> np.ndarray:
    """P(1|0) and P(0|1) of each qubit (2n,)."""
    return rng.uniform(0.02, 0.2, 2 * n)


def _confusions(p: np.ndarray) -> np.ndarray:
    return np.array([[[1 - a, b], [a, 1 - b]] for a, b in p.reshape(-1, 2)])


def _central_differences(function, p: np.ndarray) -> np.ndarray:
    """By each probability, as the last axis."""
    steps = 1e-6 * np.eye(len(p))
    return np.stack([(function(p + s) - function(p - s)) / 2e-6 for s in steps], axis=-1)


def test_derivatives_of_inverted_observables_are_central_differences():
    rng = np.random.default_rng(0)
    p = _probabilities(rng, 2)

    def read(observable: Observable) -> float:
        # The strings are independent numbers: values that a state has are not needed.
        value = {(0, 0): 1.0, (0, 1): 0.3, (0, 2): -0.4, (0, 3): 0.7, (3, 0): 0.2, (1, 0): 0.1}
        return sum(c * value.get((x, z), 0.5) for x, z, c in observable.terms)

    def values(p: np.ndarray) -> np.ndarray:
        inverse = ReadoutMap.of(_confusions(p))
        return np.array([read(corrected(each, inverse)) for each in SEEN])

    inverse = ReadoutMap.of(_confusions(p))
    found = value_derivatives(SEEN, 2)
    also = np.array([read(corrected(each, inverse)) for each in found.observables])
    slopes = (found.weights @ also) / np.repeat(inverse.slopes, 2)[:, None]
    np.testing.assert_allclose(slopes.T, _central_differences(values, p), atol=1e-8)


@pytest.mark.parametrize("most_stored", [512, 0])
def test_derivatives_over_bit_strings_are_central_differences(most_stored, monkeypatch):
    rng = np.random.default_rng(1)
    p = _probabilities(rng, 3)
    monkeypatch.setattr(matrix_free, "_BLOCK", 2)
    bits = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 1], [1, 1, 1], [0, 0, 1]])
    counts = rng.integers(1, 50, len(bits)).astype(float)
    worth = rng.normal(size=(len(bits), 2))

    def means(p: np.ndarray) -> np.ndarray:
        return counts / counts.sum() @ corrected_values(_confusions(p), bits, worth)

    confusions = _confusions(p)
    found = worth_slopes(
        confusions,
        OutcomeCounts(bits, counts),
        corrected_values(confusions, bits, worth),
        most_stored,
    )
    np.testing.assert_allclose(found, _central_differences(means, p), atol=1e-7)


def test_a_probability_that_was_measured_as_zero_has_a_derivative():
    p = np.array([0.0, 0.1, 0.05, 0.0])
    bits, counts = np.array([[0, 0], [1, 0], [0, 1], [1, 1]]), np.array([5.0, 3.0, 4.0, 2.0])
    worth = np.array([[1.0], [-1.0], [1.0], [-1.0]])

    def means(p: np.ndarray) -> np.ndarray:
        return counts / counts.sum() @ corrected_values(_confusions(p), bits, worth)

    inverted = corrected_values(_confusions(p), bits, worth)
    found = worth_slopes(_confusions(p), OutcomeCounts(bits, counts), inverted)
    np.testing.assert_allclose(found, _central_differences(means, p), atol=1e-5)


@pytest.mark.parametrize(
    "techniques",
    [
        {"readout": "inverse"},
        {"readout": "matrix_free"},
        {"readout": "inverse", "twirl": 2},
        {"readout": "inverse", "zne": {"scales": [1, 3]}},
    ],
)
def test_the_reported_variance_is_the_spread_over_keys_and_calibrations(techniques, monkeypatch):
    options = {"noise": {"readout": READOUT}, "shots": 2_000}
    config = MitigationConfig(**techniques, calibration="circuits", calibration_shots=200)
    values, variances, shares = [], [], []
    for seed in range(250):
        monkeypatch.setattr(calibration, "_KEY", DrawKey((7, seed)))
        found = open_mitigated("statevector", options, config).evaluate(
            PAIR, SEEN, ONE, key=DrawKey((8, seed))
        )
        values.append(found.values[0])
        variances.append(found.variances[0])
        shares.append((found.shared_errors[0] ** 2).sum(axis=-1))
    spread = np.var(values, axis=0, ddof=1)
    # Five standard errors of the spread of 250 values, and of the mean of their variances.
    ratio = spread / np.mean(variances, axis=0)
    assert (np.abs(ratio - 1.0) < 0.45).all(), ratio
    assert np.abs(ratio.mean() - 1.0) < 0.3, ratio
    share = np.mean(shares, axis=0) / np.mean(variances, axis=0)
    assert share.max() > 0.3, "the calibration is a large part of what is tested"


def test_known_matrices_share_no_errors():
    options = {"noise": {"readout": READOUT}, "shots": 100}
    known = open_mitigated("statevector", options, MitigationConfig(readout="inverse"))
    assert known.evaluate(PAIR, SEEN, ONE, key=DrawKey((1,))).shared_errors is None
    config = MitigationConfig(readout="inverse", calibration="circuits")
    exact = open_mitigated("aer", {"noise": {"readout": READOUT}}, config)
    assert exact.evaluate(PAIR, SEEN, ONE).shared_errors is None


def test_errors_of_the_calibration_change_no_value_and_no_basis():
    """What is measured besides has weights that choose no basis."""
    options = {"noise": {"readout": READOUT}, "shots": 1000}
    config = MitigationConfig(readout="inverse", calibration="circuits")
    measured = open_mitigated("statevector", options, config)
    plain = open_backend("statevector", options)
    key = DrawKey((3,))
    found = measured.evaluate(PAIR, SEEN, ONE, key=key)
    assert found.usage == plain.evaluate(PAIR, SEEN, ONE, key=key).usage
    assert found.values.shape == (1, len(SEEN))
    assert found.shared_errors.shape == (1, len(SEEN), 4)
    padded = without_padding(measured, 1, 3)
    three = Bindings(np.zeros((3, 0)), ONE.params)
    shared = padded.evaluate(PAIR, SEEN, three, key=key).shared_errors
    np.testing.assert_array_equal(shared, np.repeat(found.shared_errors, 3, axis=0))

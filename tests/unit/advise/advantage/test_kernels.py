"""Geometry of kernels: a kernel is no better than itself, and planted labels are."""

from __future__ import annotations

import numpy as np
import pytest

from qstore_ray.advise.advantage.kernels import (
    _targets,
    classical_kernels,
    geometric_difference,
    kernel_facts,
    label_norm,
    planted_labels,
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
RBF = classical_kernels(X)[4]
STATES = RNG.normal(size=(60, 8)) + 1j * RNG.normal(size=(60, 8))
STATES /= np.linalg.norm(STATES, axis=1, keepdims=True)
RANDOM = np.abs(STATES.conj() @ STATES.T) ** 2


def test_a_kernel_has_a_difference_of_1_to_itself_without_a_ridge():
    assert geometric_difference(RANDOM, RANDOM, 1e-9) == pytest.approx(1.0, abs=1e-2)


def test_the_ridge_only_lowers_it_and_the_scale_of_a_kernel_is_nothing():
    values = [geometric_difference(RANDOM, RBF, ridge) for ridge in (1e-6, 1e-4, 1e-2)]
    assert values == sorted(values, reverse=True)
    assert geometric_difference(7.0 * RANDOM, 3.0 * RBF, 1e-3) == pytest.approx(
        geometric_difference(RANDOM, RBF, 1e-3)
    )


def test_one_badly_scaled_kernel_shows_what_the_least_over_widths_does_not():
    values = [geometric_difference(RANDOM, rival, 1e-6) for rival in classical_kernels(X)]
    assert max(values) > 10.0 * min(values)


def test_planted_labels_fit_the_quantum_kernel_and_not_the_classical_one():
    y = planted_labels(RANDOM, RBF)
    facts = kernel_facts(RANDOM, X, y, 3)
    assert facts.s_classical > 1.2 * facts.s_quantum
    assert label_norm(RBF, _targets(y), 1e-3) > label_norm(RANDOM, _targets(y), 1e-3)
    assert set(y) == {0, 1}


def test_random_states_have_the_mean_of_their_dimension():
    facts = kernel_facts(RANDOM, X, np.arange(60) % 2, 3)
    assert facts.mean == pytest.approx(facts.random, rel=0.1)
    assert facts.shots == pytest.approx(1.0 / facts.variance)
    assert facts.bound == pytest.approx(np.sqrt(60))

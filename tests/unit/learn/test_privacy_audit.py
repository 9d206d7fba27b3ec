"""What guesses prove: known bounds, limits with known answers, and simulated attackers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binom, norm

from qstore_ray.errors import ConfigError
from qstore_ray.learn.privacy.audit import (
    Guesses,
    area,
    area_error,
    ceiling,
    chance_of,
    epsilon_bound,
    expected_area,
    guesses,
    largest_area,
)


@pytest.mark.parametrize(
    ("made", "limit"), [(10, 1.05), (30, 2.25), (100, 3.49), (300, 4.60), (1000, 5.81)]
)
def test_the_ceilings_are_the_known_ones(made, limit):
    """All guesses right and δ = 0: (e^ε / (1 + e^ε))^r = 5 %."""
    assert ceiling(made, 0.0, made) == pytest.approx(limit, abs=0.006)
    assert ceiling(made, 1e-5, 5 * made) <= ceiling(made, 0.0, made)


def test_guesses_no_better_than_chance_refute_nothing():
    assert epsilon_bound(Guesses(100, 50), 1e-5, 500) == 0.0
    assert epsilon_bound(Guesses(100, 30), 1e-5, 500) == 0.0
    assert epsilon_bound(Guesses(2, 2), 1e-5, 500) == 0.0


def test_more_right_guesses_and_a_larger_delta_move_the_bound_as_they_must():
    bounds = [epsilon_bound(Guesses(100, right), 1e-5, 500) for right in range(50, 101)]
    assert bounds == sorted(bounds)
    by_delta = [epsilon_bound(Guesses(100, 90), delta, 500) for delta in (0.0, 1e-5, 1e-3, 1e-2)]
    assert by_delta == sorted(by_delta, reverse=True)
    assert chance_of(Guesses(100, 60), 50.0, 0.0, 500) == 1.0


def test_randomised_response_is_refuted_in_no_more_than_one_run_in_twenty():
    """Its guesses are right with exactly the largest probability that ε allows."""
    generator, epsilon = np.random.default_rng(0), 1.0
    right = generator.binomial(200, math.exp(epsilon) / (1 + math.exp(epsilon)), 2_000)
    refuting = [v for v in range(201) if chance_of(Guesses(200, v), epsilon, 0.0, 200) <= 0.05]
    assert epsilon_bound(Guesses(200, refuting[0]), 0.0, 200) >= epsilon
    assert epsilon_bound(Guesses(200, refuting[0] - 1), 0.0, 200) < epsilon
    assert 0.02 < np.isin(right, refuting).mean() <= 0.06


def test_an_ideal_attacker_reaches_the_known_bound():
    """Gaussian mechanism of ε = 4 at δ = 1e-5, whose AUC is 0.743; m = 1000."""
    generator, mu = np.random.default_rng(1), math.sqrt(2) * norm.ppf(0.743)
    bounds, areas = [], []
    for _ in range(40):
        included = generator.integers(0, 2, 1000).astype(float)
        scores = generator.normal(size=1000) + mu * included
        bounds.append(epsilon_bound(guesses(scores, included, 100), 1e-5, 1000))
        areas.append(area(scores, included))
    assert 1.1 < np.median(bounds) < 1.9
    assert max(bounds) < 4.0
    assert np.mean(areas) == pytest.approx(0.743, abs=0.01)
    assert np.std(areas) == pytest.approx(area_error(0.743, 500, 500), rel=0.35)


def test_the_area_is_the_share_of_pairs_in_order_with_ties_as_halves():
    scores, included = np.array([3.0, 1.0, 1.0, 0.0]), np.array([1.0, 1.0, 0.0, 0.0])
    assert area(scores, included) == 3.5 / 4
    assert area(-scores, included) == 0.5 / 4


def test_the_expected_area_is_that_of_simulated_canaries():
    generator, q, sigma, steps = np.random.default_rng(2), 0.1, 2.0, 100
    included = np.repeat([0.0, 1.0], 20_000)
    joined = generator.binomial(steps, q, 40_000)
    scores = joined * included + generator.normal(scale=sigma * math.sqrt(steps), size=40_000)
    expected = expected_area(sample_rate=q, noise_multiplier=sigma, steps=steps)
    assert area(scores, included) == pytest.approx(expected, abs=0.01)
    assert expected == pytest.approx(0.64, abs=0.015)
    assert expected_area(sample_rate=q, noise_multiplier=0.0, steps=steps) > 0.9999
    once = expected_area(sample_rate=1.0, noise_multiplier=1.0, steps=1, always=1)
    assert once == pytest.approx(norm.cdf(1 / math.sqrt(2)))


def test_the_largest_area_of_a_claim():
    assert largest_area(0.0, 0.0) == pytest.approx(0.5)
    assert largest_area(math.inf, 0.0) == pytest.approx(1.0, abs=1e-4)
    for epsilon in (0.5, 1.0, 3.0):  # of randomised response: 1 - e/(1+e) ... as a polygon
        p = math.exp(epsilon) / (1 + math.exp(epsilon))
        assert largest_area(epsilon, 0.0) == pytest.approx(p, abs=1e-3)


@pytest.mark.parametrize("made", [0, 1, 12])
def test_more_guesses_than_canaries_or_none_are_refused(made):
    with pytest.raises(ConfigError, match="guesses"):
        guesses(np.arange(10.0), np.arange(10) % 2.0, made)


@pytest.mark.parametrize(("made", "right"), [(1, 1), (5, 3), (12, 12), (9, 0)])
def test_the_chance_of_guesses_is_its_formula_term_by_term(made, right):
    """β + 2mδ · max over i of (1/i) Σ P(V = v) for the i values v below the right ones."""
    epsilon, delta, canaries = 0.7, 0.01, 6
    p = math.exp(epsilon) / (1.0 + math.exp(epsilon))
    beta = sum(binom.pmf(v, made, p) for v in range(right, made + 1))
    means = [
        sum(binom.pmf(right - k, made, p) for k in range(1, i + 1)) / i for i in range(1, right + 1)
    ]
    expected = min(1.0, beta + 2 * canaries * delta * max(means, default=0.0))
    assert chance_of(Guesses(made, right), epsilon, delta, canaries) == pytest.approx(expected)

"""Measures of a curve, on curves whose measures are known; the words that give a direction."""

from __future__ import annotations

import math

import numpy as np
import pytest

from qstore_ray.learn.diagnostics.curve import (
    gradient_ratio,
    has_fallen,
    levels_of,
    noise_of,
    slope_of,
)
from qstore_ray.learn.diagnostics.stopping import direction


def test_levels_are_running_medians():
    curve = np.array([5.0, 1.0, 3.0, 2.0, 9.0])
    np.testing.assert_array_equal(levels_of(curve), [3.0, 2.0, 3.0])
    np.testing.assert_array_equal(levels_of(curve, 5), [3.0])


@pytest.mark.parametrize("n", [2, 3, 8])
def test_the_slope_of_a_line_is_its_slope_and_a_bow_has_none(n):
    times = np.arange(float(n))
    assert slope_of(7.0 - 0.25 * times) == pytest.approx(-0.25, rel=1e-12)
    assert slope_of((times - times.mean()) ** 2) == pytest.approx(0.0, abs=1e-12)


def test_a_straight_curve_has_no_noise_and_a_zigzag_has_that_of_its_second_differences():
    assert noise_of(np.linspace(3.0, 1.0, 9)) == pytest.approx(0.0, abs=1e-15)
    assert noise_of(np.array([1.0, 2.0])) == 0.0
    assert noise_of(np.array([0.0, 1.0, 0.0, 1.0])) == pytest.approx(1.4826 * 2 / math.sqrt(6))
    assert noise_of(np.array([0.0, 1.0, 0.0])) == pytest.approx(1.4826 * 2 / math.sqrt(6))


def test_the_noise_of_normal_values_is_their_standard_deviation():
    curve = 3.0 - 0.01 * np.arange(4000) + 0.2 * np.random.default_rng(4).normal(size=4000)
    assert noise_of(curve) == pytest.approx(0.2, rel=0.05)


def test_a_fall_is_one_of_the_level():
    assert has_fallen(np.array([2.0, 1.0, 1.0, 1.0, 1.0, 1.0]))
    assert not has_fallen(np.array([1.0, 2.0, 2.0, 2.0, 2.0, 2.0]))
    assert not has_fallen(np.array([2.0, 2.0, 2.0, 2.0, 0.0, 2.0, 2.0, 2.0, 2.0]))
    assert not has_fallen(np.array([2.0, 2.0, 2.0, 2.0, 2.0, 2.0]))
    assert not has_fallen(np.array([2.0, 1.0])), "no level yet"
    assert has_fallen(np.array([2.0, 1.0, 0.0]))


@pytest.mark.parametrize(("first", "fallen"), [(6.0, False), (6.1, True)])
def test_a_fall_exceeds_five_times_the_noise(first, fallen):
    """The noise is 1.4826 · 2 / √6, the best level 0: five times it are 6.05."""
    assert has_fallen(np.array([first, *[0.0, 1.0] * 6])) is fallen


def test_the_ratio_of_a_gradient_to_its_noise_is_the_median():
    assert gradient_ratio(np.array([1.0, 2.0, 9.0]), np.array([2.0, 1.0, 1.0])) == 2.0
    assert gradient_ratio(np.array([1.0, 2.0, 3.0]), np.zeros(3)) == math.inf
    assert gradient_ratio(np.zeros(3), np.zeros(3)) == 0.0
    assert gradient_ratio(np.array([0.5, 0.0]), np.array([1.0, 1.0])) == 0.25


@pytest.mark.parametrize(
    "word", ["loss", "error", "mse", "mae", "rmse", "norm", "seconds", "Loss", "log_loss"]
)
def test_smaller_is_better_for_what_counts_as_a_cost(word):
    assert direction(f"val_{word}") is False
    assert direction(f"{word}_of_it" if word != "log_loss" else word) is False


@pytest.mark.parametrize(
    "word",
    ["accuracy", "auc", "f1", "precision", "recall", "score", "r2", "fidelity", "SCORE", "hamming"],
)
def test_larger_is_better_for_what_counts_as_a_gain(word):
    assert direction(word) is True
    assert direction(f"train_{word}") is True


@pytest.mark.parametrize("name", ["energy", "lossy", "", "val_energy", "hamming_distance_x"])
def test_other_names_give_no_direction(name):
    assert direction(name) is None

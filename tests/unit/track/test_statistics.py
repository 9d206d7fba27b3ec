"""Intervals and slopes against published numbers, and against what they promise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qstore_ray.errors import ConfigError, DataError
from qstore_ray.track.reading.statistics import (
    exponential_mean,
    fitted_trend,
    mean_interval,
    sampled_interval,
    wilson_interval,
)

# Anscombe, Graphs in Statistical Analysis (1973), data set I: slope 0.500, its error 0.118.
ANSCOMBE_X = np.array([10, 8, 13, 9, 11, 14, 6, 4, 12, 7, 5], dtype=np.float64)
ANSCOMBE_Y = np.array([8.04, 6.95, 7.58, 8.81, 8.33, 9.96, 7.24, 4.26, 10.84, 4.82, 5.68])

finite = st.floats(-1e3, 1e3)


def test_smoothing_is_tensorboards():
    smooth = exponential_mean(np.array([1.0, 2.0, 3.0]), 0.5)
    assert smooth == pytest.approx([1.0, 1.25 / 0.75, 2.125 / 0.875])


@given(st.lists(finite, min_size=1, max_size=20))
def test_smoothing_without_weight_changes_nothing(values):
    assert exponential_mean(np.array(values), 0.0).tolist() == values


@given(finite, st.floats(0.0, 0.99), st.integers(1, 30))
def test_a_constant_is_smoothed_to_itself(value: float, alpha: float, n: int):
    assert exponential_mean(np.full(n, value), alpha) == pytest.approx(np.full(n, value))


@pytest.mark.parametrize("alpha", [-0.1, 1.0, math.nan])
def test_a_weight_outside_is_refused(alpha: float):
    with pytest.raises(ConfigError) as caught:
        exponential_mean(np.ones(3), alpha)
    assert caught.value.field == "alpha"
    assert "0.6" in caught.value.fix


def test_a_slope_and_its_error_are_the_published_ones():
    trend = fitted_trend(ANSCOMBE_X, ANSCOMBE_Y)
    assert trend.slope == pytest.approx(0.50009, abs=1e-5)
    assert trend.standard_error == pytest.approx(0.11791, abs=1e-5)
    assert trend.verdict == "rising"
    assert fitted_trend(ANSCOMBE_X, -ANSCOMBE_Y).verdict == "falling"
    assert fitted_trend(ANSCOMBE_X, ANSCOMBE_Y, confidence=0.999).verdict == "flat"


@pytest.mark.parametrize(("slope", "verdict"), [(0.5, "rising"), (-0.5, "falling"), (0.0, "flat")])
def test_a_straight_line_is_known_exactly(slope: float, verdict: str):
    x = np.arange(20.0)
    trend = fitted_trend(x, 0.1 + slope * x)
    assert trend.slope == pytest.approx(slope, abs=1e-14)
    assert trend.standard_error == pytest.approx(0.0, abs=1e-14)
    assert trend.verdict == verdict


def test_noise_alone_is_called_flat_as_often_as_promised():
    rng, x = np.random.default_rng(1), np.arange(12.0)
    flat = [fitted_trend(x, rng.normal(size=12)).verdict == "flat" for _ in range(2000)]
    assert np.mean(flat) == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize("x", [np.arange(2.0), np.ones(5)])
def test_a_slope_needs_three_points(x):
    with pytest.raises(DataError) as caught:
        fitted_trend(x, x)
    assert (caught.value.field, caught.value.value) == ("window", len(x))
    assert "longer window" in caught.value.fix


def test_students_interval_is_the_one_of_the_table():
    """t(0.975, 4) = 2.776 in every table; the standard error of 1…5 is 1/√2."""
    found = mean_interval([1, 2, 3, 4, 5])
    assert found.value == 3.0
    assert found.high - 3.0 == pytest.approx(2.776445 / math.sqrt(2), rel=1e-6)
    assert found.high - 3.0 == pytest.approx(3.0 - found.low)
    assert found.n == 5


def test_students_interval_holds_the_mean_as_often_as_promised():
    rng = np.random.default_rng(2)
    found = [mean_interval(rng.normal(size=4), 0.9) for _ in range(2000)]
    assert np.mean([i.low <= 0 <= i.high for i in found]) == pytest.approx(0.9, abs=0.02)


def test_one_run_has_no_interval():
    with pytest.raises(DataError) as caught:
        mean_interval([1.0])
    assert (caught.value.field, caught.value.value) == ("runs", 1)
    assert "2 runs" in caught.value.fix


@pytest.mark.parametrize(
    ("hits", "m", "low", "high"),
    [
        (8, 10, 0.4902, 0.9433),
        # Newcombe, Statistics in Medicine 17 (1998), table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilsons_interval_is_the_published_one(hits: int, m: int, low: float, high: float):
    found = wilson_interval(hits, m)
    assert (found.value, found.n) == (hits / m, m)
    assert (found.low, found.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


@given(st.integers(1, 500).flatmap(lambda m: st.tuples(st.integers(0, m), st.just(m))))
def test_wilsons_interval_stays_inside_and_mirrors(counts):
    hits, m = counts
    found, mirrored = wilson_interval(hits, m), wilson_interval(m - hits, m)
    assert 0.0 <= found.low <= found.value + 1e-12
    assert found.value - 1e-12 <= found.high <= 1.0
    assert found.low < found.high
    assert found.low == pytest.approx(1.0 - mirrored.high, abs=1e-12)


@pytest.mark.parametrize(("hits", "m"), [(0, 0), (3, 2), (-1, 5)])
def test_counts_that_are_none_are_refused(hits: int, m: int):
    with pytest.raises(DataError) as caught:
        wilson_interval(hits, m)
    assert (caught.value.field, caught.value.value) == ("hits", (hits, m))


def test_an_estimate_from_shots_has_a_normal_interval():
    found = sampled_interval(0.5, 0.01)
    assert found.high == pytest.approx(0.5 + 1.959964 * 0.1, rel=1e-6)
    assert sampled_interval(0.5, 0.0).low == 0.5
    with pytest.raises(DataError) as caught:
        sampled_interval(0.5, -1.0)
    assert caught.value.field == "variance"


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0])
def test_a_confidence_is_a_share(confidence: float):
    with pytest.raises(ConfigError) as caught:
        mean_interval([1, 2], confidence)
    assert (caught.value.field, caught.value.value) == ("confidence", confidence)
    assert "0.95" in caught.value.fix

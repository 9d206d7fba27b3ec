"""Clipping: bounded, in the same direction, and never a cover for what is not finite."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qstore_ray.learn.clipping import clip_by_norm, clip_by_value, global_norm

gradients = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=5).map(np.array)
limits = st.floats(1e-3, 1e3)


@given(gradients, limits)
def test_a_clipped_norm_is_at_most_the_limit_and_points_the_same_way(gradient, limit):
    clipped = clip_by_norm(gradient, limit)
    norm = np.linalg.norm(gradient)
    np.testing.assert_allclose(clipped, gradient * min(1.0, limit / max(norm, limit)), rtol=1e-12)
    assert np.linalg.norm(clipped) <= limit * (1 + 1e-12)


@given(gradients, limits)
def test_clipped_values_are_the_nearest_within_the_limit(gradient, limit):
    clipped = clip_by_value(gradient, limit)
    expected = [max(-limit, min(limit, value)) for value in gradient]
    assert clipped.tolist() == expected


@pytest.mark.parametrize("clip", [clip_by_norm, clip_by_value])
def test_what_is_within_the_limit_keeps_its_bits(clip):
    gradient = np.array([0.3, -0.4])
    assert clip(gradient, 0.5).tobytes() == gradient.tobytes()


def test_a_known_gradient():
    gradient = np.array([3.0, -4.0, 12.0])
    assert global_norm(gradient) == 13.0
    np.testing.assert_allclose(clip_by_norm(gradient, 6.5), gradient / 2, rtol=1e-15)
    assert clip_by_value(gradient, 3.5).tolist() == [3.0, -3.5, 3.5]


@pytest.mark.parametrize("size", [1e-200, 1e200])
def test_squares_that_overflow_or_vanish_do_no_harm(size):
    gradient = np.array([3.0, 4.0]) * size
    np.testing.assert_allclose(global_norm(gradient), 5.0 * size, rtol=1e-15)
    np.testing.assert_allclose(clip_by_norm(gradient, size), [0.6 * size, 0.8 * size], rtol=1e-14)


@pytest.mark.parametrize("clip", [clip_by_norm, clip_by_value])
@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_what_is_not_finite_stays_for_the_training_loop_to_find(clip, bad):
    clipped = clip(np.array([0.1, bad]), 1.0)
    assert clipped[0] == 0.1
    np.testing.assert_equal(clipped[1], bad)


def test_no_parameters_have_norm_zero():
    assert global_norm(np.zeros(0)) == global_norm(np.zeros(3)) == 0.0

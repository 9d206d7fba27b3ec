"""Clipping: bounded, in the same direction, and never a cover for what is not finite."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qstore_ray.errors import ConfigError
from qstore_ray.learn.clipping import (
    check_unclipped,
    clip_by_norm,
    clip_by_value,
    clip_factors,
    clip_rows,
    global_norm,
)

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


# ------------------------------------------------------------------------------------------- rows


@given(st.lists(gradients.map(lambda row: np.resize(row, 3)), min_size=1, max_size=4), limits)
def test_each_row_is_clipped_as_if_it_were_alone_and_never_above_the_limit(rows, limit):
    clipped = clip_rows(np.array(rows), limit)
    expected = [clip_by_norm(row, limit) for row in rows]
    np.testing.assert_allclose(clipped, expected, rtol=1e-11, atol=0.0)
    assert all(global_norm(row) <= limit for row in clipped)


@pytest.mark.parametrize("size", [1e-200, 1e-160, 1.0, 1e160, 1e200])
def test_rows_of_every_size_are_clipped(size):
    rows = np.array([[3.0, 4.0], [0.3, 0.4]]) * size
    clipped = clip_rows(rows, size)
    np.testing.assert_allclose(clipped[0], [0.6 * size, 0.8 * size], rtol=1e-11)
    assert clipped[1].tobytes() == rows[1].tobytes()


def test_rows_within_an_infinite_limit_and_rows_that_are_not_finite_stay():
    rows = np.array([[3.0, 4.0], [np.nan, 1.0], [np.inf, 1.0], [0.0, 0.0]])
    np.testing.assert_array_equal(clip_rows(rows, np.inf), rows)
    clipped = clip_rows(rows, 1.0)
    np.testing.assert_allclose(clipped[0], [0.6, 0.8], rtol=1e-11)
    np.testing.assert_array_equal(clipped[1], rows[1])
    np.testing.assert_array_equal(clipped[3], [0.0, 0.0])
    assert not np.isfinite(clipped[2]).all()


def test_known_factors_of_squared_norms():
    squares = np.array([[0.0, 4.0], [16.0, 400.0]])
    np.testing.assert_allclose(clip_factors(squares, 4.0), [[1.0, 1.0], [1.0, 0.2]], rtol=2e-12)
    assert clip_factors(np.array([16.0]), 4.0)[0] < 1.0, "the norm is taken a little too large"
    assert clip_factors(np.array([np.inf]), 4.0)[0] == 0.0
    assert clip_factors(np.array([np.nan]), 4.0)[0] == 1.0


def test_an_optimizer_that_follows_no_gradient_refuses_the_first_limit_that_is_set():
    check_unclipped("rotosolve", clip_norm=None, clip_value=None)
    with pytest.raises(ConfigError, match="rotosolve chooses its own step") as caught:
        check_unclipped("rotosolve", clip_norm=None, clip_value=0.5)
    assert (caught.value.field, caught.value.value) == ("clip_value", 0.5)
    assert caught.value.fix == "Leave it out, or take an optimizer such as adam."

"""Extrapolation: exact for the functions that each fit is made for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qstore_ray.backends.mitigation.extrapolation import extrapolate

number = st.floats(-2.0, 2.0, allow_subnormal=False)
scale_sets = st.lists(st.sampled_from([1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0]), min_size=2,
                      max_size=5, unique=True).map(np.array)  # fmt: skip


@settings(deadline=None)
@given(scales=scale_sets, seed=st.integers(0, 2**32 - 1))
def test_richardson_is_exact_for_polynomials_of_its_degree(scales, seed):
    coefficients = np.random.default_rng(seed).uniform(-1, 1, (len(scales), 2, 3))
    values = np.einsum("sd,dno->sno", np.vander(scales, increasing=True), coefficients)
    found = extrapolate("richardson", scales, values)
    np.testing.assert_allclose(found.values, coefficients[0], atol=1e-8)


@given(scales=scale_sets, at_zero=number, slope=number)
def test_a_line_is_exact_for_a_line(scales, at_zero, slope):
    found = extrapolate("linear", scales, (at_zero + slope * scales)[:, None, None])
    assert found.values[0, 0] == pytest.approx(at_zero, abs=1e-11)


@given(scales=scale_sets, at_zero=number, rate=st.floats(0.0, 1.0))
def test_an_exponential_is_exact_for_pure_decay_of_either_sign(scales, at_zero, rate):
    values = at_zero * np.exp(-rate * scales)[:, None, None]
    found = extrapolate("exponential", scales, values)
    assert found.values[0, 0] == pytest.approx(at_zero, rel=1e-9, abs=1e-300)


def test_where_signs_differ_the_exponential_is_the_line():
    scales = np.array([1.0, 2.0, 3.0])
    values = np.array([[0.1, 0.0, 0.4]] * 3).reshape(3, 1, 3)
    values[2, 0, 0] = -0.1
    line, found = (extrapolate(fit, scales, values) for fit in ("linear", "exponential"))
    np.testing.assert_array_equal(found.values[0, :2], line.values[0, :2])
    np.testing.assert_array_equal(found.slopes[:, 0, :2], line.slopes[:, 0, :2])
    assert found.values[0, 2] == pytest.approx(0.4)


@pytest.mark.parametrize("fit", ["linear", "exponential", "richardson"])
def test_slopes_are_central_differences(fit):
    rng = np.random.default_rng(2)
    scales, values = np.array([1.0, 1.7, 3.0]), rng.uniform(0.2, 0.9, (3, 4, 2))
    found = extrapolate(fit, scales, values)
    for s in range(3):
        step = np.zeros_like(values)
        step[s] = 1e-6
        up, down = (extrapolate(fit, scales, values + sign * step).values for sign in (1, -1))
        np.testing.assert_allclose((up - down) / 2e-6, found.slopes[s], atol=1e-7)

"""What the steps compute over blocks of rows: scalar products, means, constant columns."""

from __future__ import annotations

import math

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from qstore_ray.data.prepare.steps import Standard
from qstore_ray.data.prepare.steps.base import constant_columns
from qstore_ray.data.prepare.steps.row_dots import row_dots


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("n_directions", [1, 2, 3, 7, 16, 31, 33, 65])
@pytest.mark.parametrize("n_features", [1, 2, 3, 7, 8, 17, 64, 100, 255, 256, 257, 784])
def test_scalar_products_of_a_row_have_the_same_bits_in_any_company(
    n_features, n_directions, threads
):
    rng = np.random.default_rng(n_features)
    x = rng.normal(size=(300, n_features))
    directions, mean = rng.normal(size=(n_directions, n_features)), rng.normal(size=n_features)
    with threadpool_limits(threads):
        whole = row_dots(x, directions, mean)
        for rows in (slice(0, 1), slice(1, 3), slice(7, 270), slice(31, 64), slice(299, 300)):
            np.testing.assert_array_equal(row_dots(x[rows], directions, mean), whole[rows])
        again = row_dots(np.asfortranarray(np.repeat(x[:1], 300, axis=0)), directions, mean)
    np.testing.assert_array_equal(again, np.repeat(whole[:1], 300, axis=0))
    with threadpool_limits(3 - threads):
        np.testing.assert_array_equal(row_dots(x, directions, mean), whole)
    sums = np.abs(x - mean) @ np.abs(directions).T
    assert (np.abs(whole - (x - mean) @ directions.T) <= 1e-15 * math.sqrt(n_features) * sums).all()


def test_scalar_products_of_no_rows_are_no_rows():
    assert row_dots(np.zeros((0, 5)), np.ones((3, 5))).shape == (0, 3)


def test_a_column_is_constant_only_where_no_row_differs():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5000, 70))
    x[:, 3:60] = 0.1
    x[2501, 40] = 0.2  # a row that is not in the sample
    expected = x.min(axis=0) == x.max(axis=0)
    np.testing.assert_array_equal(constant_columns(x), expected)
    state = Standard().fit(x)
    np.testing.assert_array_equal(state["std"] == 0.0, expected)
    np.testing.assert_allclose(state["mean"], x.mean(axis=0), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(state["std"], np.where(expected, 0.0, x.std(axis=0)), rtol=1e-12)

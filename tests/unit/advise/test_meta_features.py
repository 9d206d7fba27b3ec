"""The numbers that describe a table of rows, and the tables that are refused."""

from __future__ import annotations

import math

import numpy as np
import pytest

from qstore_ray.advise.meta_features import NAMES, meta_features, skill, stratified_rows, unskilled
from qstore_ray.errors import DataError

RNG = np.random.default_rng(0)
Y = np.arange(90) % 3
X = RNG.normal(size=(90, 4)) + 3.0 * Y[:, None]


def test_every_number_is_finite_and_has_its_name():
    found = meta_features(X, Y)
    assert tuple(found.values) == NAMES
    assert np.isfinite(found.vector()).all()
    assert (found.rows, found.columns) == X.shape


@pytest.mark.parametrize(
    "x",
    [
        np.ones((90, 3)),
        np.zeros((90, 1)),
        RNG.integers(0, 2, (90, 5)).astype(float),
        1e150 * X,
        1e-150 * X,
        RNG.normal(size=(90, 300)),
        RNG.normal(size=(90, 5, 5)),
    ],
    ids=["constant", "zeros", "bits", "huge", "tiny", "wide", "images"],
)
def test_odd_columns_give_finite_numbers(x):
    assert np.isfinite(meta_features(x, Y).vector()).all()


def test_units_and_labels_do_not_matter():
    found = meta_features(X, Y).vector()
    units = X * np.array([1.0, 10.0, 0.1, 5.0])
    again = meta_features(units, np.array(["a", "b", "c"])[Y]).vector()
    assert again == pytest.approx(found, abs=1e-9)


def test_known_numbers():
    bits = RNG.integers(0, 2, (90, 2)).astype(float)
    found = meta_features(np.column_stack([bits, np.zeros(90)]), Y).values
    assert found["two_valued"] == 1.0
    assert found["class_entropy"] == pytest.approx(1.0)
    assert found["smallest_class"] == pytest.approx(1.0)
    assert found["log_rows"] == pytest.approx(math.log(90))
    assert meta_features(10.0 * Y[:, None] + 0.0, Y).values["linear_skill"] > -0.1


def test_skill_is_0_for_chance_and_1_for_perfect():
    assert skill(0.5, 2) == 0.0
    assert skill(0.1, 10) == pytest.approx(0.0)
    assert skill(1.0, 7) == 1.0
    assert unskilled(skill(0.83, 5), 5) == pytest.approx(0.83)


def test_a_sample_keeps_the_shares_of_the_classes():
    y = np.repeat([0, 1], [9000, 1000])
    picked = stratified_rows(y, 600, seed=0)
    assert len(picked) == 600
    assert np.mean(y[picked]) == pytest.approx(0.1)
    assert np.array_equal(picked, stratified_rows(y, 600, seed=0))


@pytest.mark.parametrize(
    ("x", "y", "said"),
    [
        (X, np.zeros(90), "one class"),
        (X[:3], np.array([0, 1, 1]), "advice needs 3"),
        (np.full((90, 2), np.nan), Y, "NaN"),
        (X, Y[:5], "one label for each"),
        (X[:, 0], Y, "rows"),
    ],
)
def test_what_cannot_be_described_is_refused(x, y, said):
    with pytest.raises(DataError, match=said):
        meta_features(x, y)

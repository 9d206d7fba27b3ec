"""Preparation: chains of steps, and the first steps against values known in advance."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from sklearn.decomposition import PCA as REFERENCE_PCA

from qstore_ray.data.prepare.prepare import Preparation
from qstore_ray.data.prepare.steps import Log1p, MinMax, Normalize, Pca, Scale, Standard
from qstore_ray.errors import CheckpointError, ConfigError, DataError, UnknownNameError

MEMBERS = [
    Standard(),
    MinMax(),
    MinMax(feature_range=(-1.0, 1.0), clip=True),
    Pca(components=2),
    Pca(components=2, whiten=True),
    Scale(factor=-0.3),
    Normalize(),
    Log1p(),
]
every_step = pytest.mark.parametrize("step", MEMBERS, ids=lambda step: step.name)
ROWS = arrays(
    np.float64,
    array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=9),
    elements=st.floats(0, 1e6) | st.just(3.0),
)


def _fit(step, x) -> Preparation:
    return Preparation.fit([step], np.asarray(x, dtype=np.float64))


@every_step
@given(x=ROWS)
def test_a_batch_gives_what_its_rows_give_one_by_one(step, x):
    fitted = _fit(step, x)
    one_by_one = np.concatenate([fitted.transform(row[None]) for row in x])
    np.testing.assert_array_equal(fitted.transform(x), one_by_one)


@every_step
@given(x=ROWS)
def test_rows_of_train_come_out_finite_whatever_is_constant(step, x):
    x[:, 0] = 3.0
    assert np.isfinite(_fit(step, x).transform(x)).all()


@every_step
def test_saved_and_read_back_it_is_equal_to_the_last_bit(step, rng):
    x = rng.gamma(2.0, size=(20, 5))
    fitted = _fit(step, x)
    spec = json.loads(json.dumps(fitted.spec()))
    loaded = Preparation.from_arrays(fitted.to_arrays(), spec)
    assert loaded.steps == fitted.steps
    np.testing.assert_array_equal(loaded.transform(x), fitted.transform(x))


@every_step
def test_transforming_other_rows_changes_nothing_that_was_fitted(step, rng):
    train, other = rng.gamma(2.0, size=(20, 5)), 10.0 * rng.gamma(2.0, size=(7, 5))
    fitted = _fit(step, train)
    before = fitted.transform(train)
    fitted.transform(other)
    np.testing.assert_array_equal(fitted.transform(train), before)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


def test_standard_has_mean_0_and_deviation_1(rng):
    x = rng.normal(5.0, 3.0, size=(200, 4))
    z = _fit(Standard(), x).transform(x)
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-14)
    np.testing.assert_allclose(z.std(axis=0), 1, atol=1e-14)


@pytest.mark.parametrize("value", [0.1, 0.0, 1e12, -7.3])
def test_a_column_constant_in_train_is_0_or_the_lower_bound_everywhere(value: float):
    train = np.full((1000, 1), value)
    later = np.array([[value + 5.0]])
    for rows in (train, later):
        assert (_fit(Standard(), train).transform(rows) == 0.0).all()
        assert (_fit(MinMax(feature_range=(-1, 1)), train).transform(rows) == -1.0).all()
        assert (_fit(Pca(components=1, whiten=True), train).transform(rows) == 0.0).all()


def test_minmax_reaches_0_and_pi_and_leaves_the_range_only_outside_train():
    train = [[0.0, 10.0], [4.0, 30.0]]
    fitted = _fit(MinMax(), train)
    np.testing.assert_allclose(fitted.transform(train), [[0, 0], [math.pi, math.pi]])
    np.testing.assert_allclose(fitted.transform([[8.0, 0.0]]), [[2 * math.pi, -math.pi / 2]])
    clipped = _fit(MinMax(clip=True), train)
    np.testing.assert_allclose(clipped.transform([[8.0, 0.0]]), [[math.pi, 0]])


def test_columns_are_scaled_apart_and_rows_are_not():
    """Rows that differ by a factor stay different, which scaling row by row would undo."""
    x = [[0.0, 1, 2, 3], [0.0, 10, 20, 30]]
    out = _fit(MinMax(), x).transform(x)
    assert not np.allclose(out[0], out[1])


@pytest.mark.parametrize("whiten", [False, True])
def test_pca_equals_a_reference(rng, whiten: bool):
    x = rng.normal(size=(60, 6)) @ rng.normal(size=(6, 6))
    ours = _fit(Pca(components=3, whiten=whiten), x).transform(x)
    theirs = REFERENCE_PCA(3, svd_solver="full").fit_transform(x)
    if whiten:
        theirs = theirs / theirs.std(axis=0)
    np.testing.assert_allclose(np.abs(ours), np.abs(theirs), atol=1e-10)


def test_pca_has_one_sign(rng):
    x = rng.normal(size=(40, 5))
    directions = _fit(Pca(components=5), x).states[0]["directions"]
    largest = directions[np.arange(5), np.abs(directions).argmax(axis=1)]
    assert (largest > 0).all()
    flipped = _fit(Pca(components=5), x[::-1]).states[0]["directions"]
    np.testing.assert_allclose(directions, flipped, atol=1e-10)


def test_all_components_keep_all_distances(rng):
    x = rng.normal(size=(20, 4))
    out = _fit(Pca(components=4), x).transform(x)
    np.testing.assert_allclose(
        np.linalg.norm(out[:1] - out, axis=1), np.linalg.norm(x[:1] - x, axis=1)
    )


def test_normalize_and_log1p_and_scale():
    x = np.array([[3.0, 4.0], [0.0, 0.0], [3e200, 4e200]])
    np.testing.assert_allclose(_fit(Normalize(), x).transform(x), [[0.6, 0.8], [0, 0], [0.6, 0.8]])
    np.testing.assert_allclose(
        _fit(Log1p(), [[0.0, math.e - 1]]).transform([[0, math.e - 1]]), [[0, 1]]
    )
    np.testing.assert_array_equal(_fit(Scale(factor=2.0), x[:1]).transform(x[:1]), [[6, 8]])


def test_a_chain_fits_each_step_on_what_the_steps_before_it_leave(rng):
    x = rng.gamma(2.0, size=(50, 5))
    steps = [Log1p(), Standard(), Pca(components=3), MinMax()]
    fitted = Preparation.fit(steps, x)
    by_hand = x
    for step in steps:
        by_hand = _fit(step, by_hand).transform(by_hand)
    np.testing.assert_array_equal(fitted.transform(x), by_hand)
    assert set(fitted.to_arrays()) == {
        "1.mean", "1.std", "2.mean", "2.directions", "2.std", "3.low", "3.span",
    }  # fmt: skip


def test_images_are_flattened(rng):
    images = rng.integers(0, 256, (9, 4, 2), dtype=np.uint8)
    fitted = _fit(Standard(), images.reshape(9, 8))
    np.testing.assert_array_equal(fitted.transform(images), fitted.transform(images.reshape(9, 8)))


def test_more_components_than_there_are():
    with pytest.raises(ConfigError, match="have at most 3 components"):
        _fit(Pca(components=4), np.eye(5, 3))


def test_log1p_refuses_what_has_no_logarithm():
    with pytest.raises(DataError, match="column 1 of row 0"):
        _fit(Log1p(), [[0.0, -1.0]])


@pytest.mark.parametrize("step", [Standard(), MinMax(), Pca(components=1), Scale(factor=1e300)])
def test_overflow_is_an_error(step):
    with pytest.raises(DataError):
        _fit(step, [[-1.7e308], [1.7e308], [0.0]])


def test_later_rows_that_overflow_are_an_error():
    fitted = _fit(Scale(factor=1e300), [[1.0]])
    with pytest.raises(DataError, match="infinite"):
        fitted.transform([[1e100]])


@pytest.mark.parametrize("raw", [[[1.0]], [1.0, 2.0], [[1.0, math.nan]], [["a", "b"]]])
def test_rows_to_predict_are_checked(raw):
    with pytest.raises(DataError):
        _fit(Standard(), [[1.0, 2.0], [3.0, 4.0]]).transform(raw)


def test_arrays_and_spec_that_do_not_belong_together():
    fitted = _fit(Standard(), [[1.0, 2.0], [3.0, 4.0]])
    with pytest.raises(CheckpointError, match="belongs to no step"):
        Preparation.from_arrays(fitted.to_arrays(), {"n_features": 2, "steps": []})
    with pytest.raises(UnknownNameError):
        Preparation.from_arrays({}, {"n_features": 2, "steps": [{"name": "whiten"}]})

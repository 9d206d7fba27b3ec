"""Outliers and the policy for bad values: learnt from train, applied to any rows, and counted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from qstore_ray.data.quality.outliers import THRESHOLDS, OutlierDetector
from qstore_ray.data.quality.policy import apply_policy, fill_values
from qstore_ray.errors import ConfigError, DataError, UnknownNameError

RNG = np.random.default_rng(3)
TRAIN = RNG.normal(size=(400, 2))
FAR = np.array([[0.0, 0.0], [0.0, 50.0], [-50.0, 0.0]])
BAD = np.array([[1.0, np.nan], [2.0, 5.0], [np.inf, 6.0]])
LABELS = np.array([7, 8, 9])


@pytest.mark.parametrize("method", sorted(THRESHOLDS))
def test_far_rows_are_outliers_by_every_method_and_ordinary_ones_by_none(method):
    fitted = OutlierDetector(method).fit(TRAIN)
    assert fitted.mask(FAR).tolist() == [False, True, True]
    assert fitted.mask(TRAIN).mean() < 0.05
    assert fitted.judged == 2
    x, y, kept = fitted.remove(FAR, LABELS)
    assert (x.tolist(), y.tolist(), kept.tolist()) == ([[0.0, 0.0]], [7], [True, False, False])


def test_the_intervals_are_what_their_formulas_say():
    x = np.arange(9.0)[:, None]  # quartiles 2 and 6, median 4, MAD 2
    iqr = OutlierDetector("iqr").fit(x)
    assert (iqr.low[0], iqr.high[0]) == (2 - 6, 6 + 6)
    robust = OutlierDetector("robust_zscore").fit(x)
    assert robust.high[0] == pytest.approx(4 + 3.5 * 1.4826 * 2)
    plain = OutlierDetector("zscore", 2.0).fit(x)
    assert plain.low[0] == pytest.approx(4 - 2 * x.std())


def test_the_rule_is_of_train_whatever_rows_it_is_applied_to():
    fitted = OutlierDetector("iqr").fit(TRAIN)
    assert fitted.mask(FAR[1:]).all()  # among themselves they would be ordinary
    np.testing.assert_array_equal(fitted.mask(FAR[::-1]), fitted.mask(FAR)[::-1])


def test_outliers_move_the_mean_but_not_the_median():
    x = np.r_[TRAIN[:90, 0], np.full(15, 9.0)][:, None]
    assert not OutlierDetector("zscore").fit(x).mask(x).any()
    assert OutlierDetector("robust_zscore").fit(x).mask(x).sum() == 15


def test_clipping_moves_outliers_to_the_nearest_value_allowed():
    fitted = OutlierDetector("zscore").fit(TRAIN)
    clipped = fitted.clip(FAR)
    assert not fitted.mask(clipped).any()
    assert clipped[1, 1] == fitted.high[1]
    np.testing.assert_array_equal(clipped[0], FAR[0])
    with pytest.raises(ConfigError, match="cannot clip"):
        OutlierDetector("isolation_forest").fit(TRAIN).clip(FAR)


@pytest.mark.parametrize("method", ["iqr", "zscore", "robust_zscore"])
def test_a_column_without_spread_has_no_outliers_and_is_counted(method):
    x = np.column_stack([np.full(400, 0.1), TRAIN[:, 0]])
    fitted = OutlierDetector(method).fit(x)
    assert fitted.judged == 1
    assert not fitted.mask(np.array([[99.0, 0.0]])).any()


def test_a_forest_is_the_same_for_the_same_seed():
    scores = [OutlierDetector("isolation_forest", seed=s).fit(TRAIN).scores(FAR) for s in (1, 1, 2)]
    np.testing.assert_array_equal(scores[0], scores[1])
    assert (scores[0] != scores[2]).any()


@pytest.mark.parametrize("method", sorted(THRESHOLDS))
def test_other_widths_and_no_rows(method):
    with pytest.raises(DataError, match="3 features, 2 are expected"):
        OutlierDetector(method).fit(TRAIN).mask(np.zeros((1, 3)))
    with pytest.raises(DataError, match="fitted on has 0 rows"):
        OutlierDetector(method).fit(TRAIN[:0])
    with pytest.raises(DataError, match="3 rows but 2 labels"):
        OutlierDetector(method).fit(TRAIN).remove(FAR, LABELS[:2])
    assert OutlierDetector(method).fit(TRAIN).mask(TRAIN[:0]).shape == (0,)


def test_nan_is_no_outlier_and_the_forest_refuses_it():
    assert not OutlierDetector("iqr").fit(TRAIN).mask(np.array([[np.nan, 0.0]])).any()
    assert OutlierDetector("iqr").fit(np.vstack([TRAIN, [[np.nan, np.inf]]])).judged == 2
    with pytest.raises(DataError, match="NaN in column 1, first in row 0"):
        OutlierDetector("isolation_forest").fit(BAD)


def test_wrong_settings_are_refused():
    with pytest.raises(UnknownNameError, match="outlier method"):
        OutlierDetector("iqd")
    for method, threshold in (("iqr", 0.0), ("zscore", np.nan), ("isolation_forest", 1.5)):
        with pytest.raises(ConfigError, match="threshold") as caught:
            OutlierDetector(method, threshold)
        assert str(THRESHOLDS[method]) in caught.value.fix


@settings(max_examples=40)  # some of them grow a forest
@given(
    arrays.arrays(
        np.float64,
        st.tuples(st.integers(1, 9), st.integers(1, 3)),
        elements=st.floats(allow_nan=False, allow_infinity=False),
    ),
    st.sampled_from(sorted(THRESHOLDS)),
)
def test_any_finite_rows_can_be_judged(x, method):
    fitted = OutlierDetector(method).fit(x)
    kept = fitted.remove(x, np.arange(len(x)))
    assert len(kept[0]) == len(x) - fitted.mask(x).sum() == kept[2].sum()


def test_error_names_split_column_and_row():
    with pytest.raises(DataError, match=r"NaN in split 'val', column 1 \('b'\), first in row 0"):
        apply_policy(BAD, LABELS, "error", split="val", names=("a", "b"))
    clean = apply_policy(BAD[1:2], LABELS[1:2], "error")
    assert clean.counts.describe() == "all 1 rows are finite"


def test_drop_says_which_rows_and_how_many():
    x, y, kept, counts = apply_policy(BAD, LABELS, "drop")
    assert (x.tolist(), y.tolist(), kept.tolist()) == ([[2.0, 5.0]], [8], [False, True, False])
    assert counts == (3, 2, 2, 2, 0)
    assert "dropped 2 rows, 1 remain" in counts.describe()


def test_dropping_every_row_is_an_error():
    with pytest.raises(DataError, match="0 samples after dropping the rows of split 'test'") as got:
        apply_policy(BAD[[0, 2]], LABELS[:2], "drop", split="test")
    assert (got.value.field, got.value.value) == ("policy", "drop")
    assert "impute" in got.value.fix


@pytest.mark.parametrize(("method", "expected"), [("mean", 5.0), ("median", 3.0)])
def test_imputing_uses_the_values_of_train(method, expected):
    train = np.array([[1.0, 1.0], [3.0, np.inf], [11.0, 1.0], [np.nan, 1.0]])
    fill = fill_values(train, method)
    assert fill.tolist() == [expected, 1.0]
    before = BAD.copy()
    x, y, kept, counts = apply_policy(BAD, LABELS, "impute", fill)
    assert x.tolist() == [[1.0, 1.0], [2.0, 5.0], [expected, 6.0]]
    assert kept.all()
    assert (y.tolist(), counts.filled_values) == ([7, 8, 9], 2)
    assert "filled 2 values" in counts.describe()
    np.testing.assert_array_equal(BAD, before)


def test_a_column_that_train_does_not_have_cannot_be_filled():
    with pytest.raises(DataError, match=r"column 1 \('b'\) has no finite median in train"):
        fill_values(np.array([[1.0, np.nan]]), "median", ("a", "b"))


@pytest.mark.parametrize(
    ("policy", "fill"),
    [("impute", None), ("impute", np.nan), ("impute", np.zeros(3)), ("drop", 0.0), ("error", 0.0)],
)
def test_a_fill_that_does_not_fit_the_policy(policy, fill):
    with pytest.raises(ConfigError) as caught:
        apply_policy(BAD, LABELS, policy, fill)
    assert caught.value.field == "fill"
    assert caught.value.fix


def test_unknown_policies_and_ways_to_fill():
    with pytest.raises(UnknownNameError, match="Known: drop, error, impute"):
        apply_policy(BAD, LABELS, "ignore")
    with pytest.raises(UnknownNameError, match="Known: mean, median"):
        fill_values(TRAIN, "mode")


@given(
    arrays.arrays(
        np.float64, st.tuples(st.integers(1, 9), st.integers(1, 3)), elements=st.floats(width=64)
    )
)
def test_what_a_policy_gives_back_is_finite_and_adds_up(x):
    y = np.arange(len(x))
    whole = np.isfinite(x).all(axis=1)
    filled = apply_policy(x, y, "impute", 0.0)
    assert np.isfinite(filled.x).all()
    np.testing.assert_array_equal(filled.x[whole], x[whole])
    if whole.any():
        dropped = apply_policy(x, y, "drop")
        np.testing.assert_array_equal(dropped.x, x[whole])
        assert len(dropped.x) + dropped.counts.dropped_rows == len(x)

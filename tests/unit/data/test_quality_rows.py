"""Outliers: the rule is learnt from train and applied to any rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from qstore_ray.data.quality.outliers import THRESHOLDS, OutlierDetector
from qstore_ray.errors import ConfigError, DataError, UnknownNameError

RNG = np.random.default_rng(3)
TRAIN = RNG.normal(size=(400, 2))
BAD = np.array([[1.0, np.nan], [2.0, 5.0], [np.inf, 6.0]])
LABELS = np.array([7, 8, 9])
FAR = np.array([[0.0, 0.0], [0.0, 50.0], [-50.0, 0.0]])


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

"""The verdict on a model: what the rows allow to say, and no more."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qstore_ray.baseline import LOGISTIC, RIDGE, Baseline, linear_baseline, verdict_metric
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.learn.scoring import Answers
from qstore_ray.verdict import difference, verdict

RNG = np.random.default_rng(0)
Y = np.r_[np.zeros(180, np.int64), np.ones(8, np.int64)]
NOTHING = Answers(np.zeros_like(Y))
FOUND = Answers(Y)
NAMES = ("no", "spill")


def _baseline(metric: str, linear: Answers, constant: Answers = NOTHING) -> Baseline:
    return Baseline(RIDGE if metric == "r2" else LOGISTIC, metric, linear, constant, {})


def test_a_detector_that_finds_nothing_is_not_called_good():
    text, numbers = verdict(Y, NOTHING, _baseline("balanced_accuracy", NOTHING), NAMES)
    assert text.startswith("not distinguishable from logistic regression")
    assert "not distinguishable from the majority class, which has 0.5000" in text
    assert text.endswith("it finds no row of class spill")
    others = verdict(Y + 1, NOTHING, _baseline("accuracy", NOTHING), ("new", "no", "spill"))[0]
    assert others.endswith("it finds no row of classes no, spill")
    assert numbers["verdict_difference"] == 0.0
    assert "as good" not in text


def test_one_that_finds_them_is_better_though_less_often_right():
    """Accuracy would call it worse: 20 false alarms against 8 rows missed."""
    alarms = Y.copy()
    alarms[:20] = 1
    by_accuracy, _ = verdict(Y, Answers(alarms), _baseline("accuracy", NOTHING), NAMES)
    assert by_accuracy.startswith("worse than")
    text, numbers = verdict(Y, Answers(alarms), _baseline("balanced_accuracy", NOTHING), NAMES)
    assert text.startswith("better than logistic regression")
    assert "balanced accuracy 0.9444 against 0.5000" in text
    assert "188 rows" in text
    assert "majority" not in text
    assert 0.0 < numbers["verdict_low"] < numbers["verdict_difference"]


def test_one_row_of_a_class_decides_nothing():
    y = np.r_[np.zeros(100, np.int64), [1]]
    text, _ = verdict(
        y, Answers(y), _baseline("balanced_accuracy", *[Answers(np.zeros_like(y))] * 2), NAMES
    )
    assert text.startswith("not distinguishable from")


def test_of_one_class_the_accuracy_is_compared():
    y = np.zeros(40, np.int64)
    text, _ = verdict(y, Answers(y), _baseline("balanced_accuracy", *[Answers(y)] * 2), NAMES)
    assert ": accuracy 1.0000 against 1.0000" in text


@pytest.mark.parametrize("metric", ["accuracy", "balanced_accuracy", "r2"])
@given(seed=st.integers(0, 1000), classes=st.integers(2, 4))
def test_swapped_models_have_the_opposite_interval(metric, seed, classes):
    rng = np.random.default_rng(seed)
    y, one, other = rng.integers(0, classes, (3, 30))
    there = difference(metric, y, Answers(one), Answers(other))
    back = difference(metric, y, Answers(other), Answers(one))
    assert there is not None
    assert back is not None
    assert (there.value, there.low, there.high) == pytest.approx(
        (-back.value, -back.high, -back.low), abs=1e-12
    )
    assert there.low - 1e-12 <= there.high


@pytest.mark.parametrize("metric", ["accuracy", "balanced_accuracy", "r2"])
def test_the_interval_holds_the_true_difference_nineteen_times_in_twenty(metric):
    """Two models with known chances of being right, on many draws of 100 rows."""
    rng = np.random.default_rng(1)
    y = np.r_[np.zeros(80, np.int64), np.ones(20, np.int64)].astype(float)
    held, truth = 0, {"accuracy": 0.2, "balanced_accuracy": 0.2, "r2": 1.0}[metric]
    for _ in range(400):
        if metric == "r2":
            y = rng.normal(size=100)
            truth = 1.0 / y.var()  # R² is in units of the variance of the rows at hand
            one, other = y + rng.normal(size=100), y + np.sqrt(2.0) * rng.normal(size=100)
        else:
            one, other = (np.where(rng.random(100) < share, y, 1 - y) for share in (0.8, 0.6))
        found = difference(metric, y, Answers(one), Answers(other))
        held += found.low <= truth <= found.high
    assert 0.92 <= held / 400 <= 0.99


def test_values_are_compared_by_r2():
    y = RNG.normal(size=200)
    mean = Answers(np.zeros(200))
    near, far = Answers(y + 0.1 * RNG.normal(size=200)), Answers(y + RNG.normal(size=200))
    text, _ = verdict(y, near, _baseline("r2", far, mean))
    assert text.startswith("better than ridge regression on the same features: R² 0.9")
    worse, _ = verdict(y, Answers(-y), _baseline("r2", far, mean))
    assert worse.startswith("worse than ridge regression")
    assert "it is worse than the mean of the targets" in worse
    ones = Answers(np.ones(5))
    assert verdict(np.ones(5), ones, _baseline("r2", ones, ones)) == ("", {})


# ----------------------------------------------------------------------------------- the baselines


def _spills(n: int = 400, rare: float = 0.06):
    rng = np.random.default_rng(0)
    x, spill = rng.normal(size=(n, 3)), rng.random(n) < rare
    x[spill] += [1.5, 1.0, 0.0]
    return DatasetLoader.from_arrays(x, np.where(spill, "spill", "no"), split=SPLIT)


SPLIT = {"train": 0.5, "val": 0.2, "test": 0.3}


def test_the_baseline_has_the_weights_of_the_model():
    data = _spills()
    assert verdict_metric(data) == "balanced_accuracy"
    plain, weighted = linear_baseline(data), linear_baseline(data, class_weight="balanced")
    table = linear_baseline(data, class_weight={"spill": 1.0})
    assert table.metrics == plain.metrics
    recall = "baseline_recall_spill"
    assert weighted.metrics[recall] > plain.metrics[recall]
    assert weighted.metrics["baseline_balanced_accuracy"] > 0.6
    assert plain.metrics["majority_balanced_accuracy"] == 0.5
    assert plain.metrics["majority_accuracy"] > 0.9
    rows = linear_baseline(data, sample_weight=np.ones(data.sizes["train"]))
    assert rows.metrics == plain.metrics


def test_even_classes_are_compared_by_accuracy():
    x = RNG.normal(size=(90, 2))
    data = DatasetLoader.from_arrays(x, (x[:, 0] > 0).astype(int), split=SPLIT)
    assert linear_baseline(data).metric == "accuracy"

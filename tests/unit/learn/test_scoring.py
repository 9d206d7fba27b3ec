"""Metrics: scikit-learn's numbers by name, and a reason where rows do not define one."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import sklearn.metrics as reference

from qstore_ray.errors import UnknownNameError
from qstore_ray.learn.diagnostics.stopping import larger_is_better
from qstore_ray.learn.losses import get_loss
from qstore_ray.learn.scoring import (
    METRICS,
    Answers,
    Scoring,
    _recall,
    answers_of,
    is_uneven,
    missed_classes,
    recall_names,
    table_direction,
)
from qstore_ray.track.reading.metrics import better_mode

RNG = np.random.default_rng(0)
N = 60
THREE = Scoring("classification", ("setosa", "blue flag", "iris/x"))
Y3, OUT3 = RNG.integers(0, 3, N), RNG.normal(size=(N, 3))
TWO = Scoring("classification", ("no", "yes"))
Y2, OUT2 = RNG.integers(0, 2, N), RNG.normal(size=(N, 1))
LABELS = Scoring("multilabel", ("a", "b"))
YL, OUTL = RNG.integers(0, 2, (N, 2)), RNG.normal(size=(N, 2))
NUMBERS = Scoring("regression")


def test_the_numbers_of_several_classes_are_scikit_learns():
    answers = answers_of(get_loss("cross_entropy"), OUT3)
    found = THREE.scores(Y3, answers)
    predicted, chances = OUT3.argmax(axis=1), answers.probabilities
    assert found.missing == {}
    assert found.values == pytest.approx(
        {
            "accuracy": reference.accuracy_score(Y3, predicted),
            "balanced_accuracy": reference.balanced_accuracy_score(Y3, predicted),
            "f1_macro": reference.f1_score(Y3, predicted, average="macro"),
            "roc_auc": reference.roc_auc_score(Y3, chances, multi_class="ovr", average="macro"),
            "average_precision": reference.average_precision_score(
                np.eye(3)[Y3], chances, average="macro"
            ),
            "log_loss": reference.log_loss(Y3, chances),
            **dict(
                zip(
                    ("recall_setosa", "recall_blue_flag", "recall_iris_x"),
                    reference.recall_score(Y3, predicted, average=None),
                    strict=True,
                )
            ),
        }
    )


def test_the_numbers_of_two_classes_are_scikit_learns():
    answers = answers_of(get_loss("binary_cross_entropy"), OUT2)
    found = TWO.scores(Y2, answers).values
    assert found["roc_auc"] == pytest.approx(reference.roc_auc_score(Y2, OUT2[:, 0]))
    average = reference.average_precision_score(Y2, OUT2[:, 0])
    assert found["average_precision"] == pytest.approx(average)
    assert found["log_loss"] == pytest.approx(reference.log_loss(Y2, answers.probabilities))
    assert found["recall_yes"] == pytest.approx(reference.recall_score(Y2, OUT2[:, 0] > 0))


def test_the_numbers_of_several_labels_are_scikit_learns():
    found = LABELS.scores(YL, answers_of(get_loss("multilabel_cross_entropy"), OUTL)).values
    predicted = OUTL > 0
    assert found["accuracy"] == pytest.approx((predicted == YL).all(axis=1).mean())
    assert found["hamming"] == pytest.approx((predicted == YL).mean())
    assert found["roc_auc"] == pytest.approx(reference.roc_auc_score(YL, OUTL))
    assert found["f1_macro"] == pytest.approx(reference.f1_score(YL, predicted, average="macro"))
    assert found["recall_b"] == pytest.approx(reference.recall_score(YL[:, 1], predicted[:, 1]))
    single = [
        reference.log_loss(YL[:, k], 1 / (1 + np.exp(-OUTL[:, k])), labels=[0, 1]) for k in (0, 1)
    ]
    assert found["log_loss"] == pytest.approx(np.mean(single))


@pytest.mark.parametrize("shape", [(N,), (N, 2)])
def test_the_numbers_of_values_are_scikit_learns(shape):
    y, predicted = RNG.normal(size=shape), RNG.normal(size=shape)
    assert NUMBERS.scores(y, Answers(predicted)).values == pytest.approx(
        {
            "r2": reference.r2_score(y, predicted),
            "mae": reference.mean_absolute_error(y, predicted),
            "rmse": reference.root_mean_squared_error(y, predicted),
            "mse": reference.mean_squared_error(y, predicted),
        }
    )


# ------------------------------------------------------------------------------- what is not there


def test_rows_of_one_class_leave_metrics_out_and_say_why():
    y = np.zeros(N, np.int64)
    found = TWO.scores(y, answers_of(get_loss("binary_cross_entropy"), OUT2))
    assert found.missing == {
        "balanced_accuracy": "all rows are of one class",
        "roc_auc": "every row is of class no",
        "average_precision": "every row is of class no",
        "recall_yes": "no row is of class yes",
    }
    assert set(found.values) == {"accuracy", "f1_macro", "log_loss", "recall_no"}


def test_a_class_without_rows_is_named():
    y = np.where(Y3 == 1, 0, Y3)
    missing = THREE.scores(y, answers_of(get_loss("cross_entropy"), OUT3)).missing
    names = ["roc_auc", "average_precision", "recall_blue_flag"]
    assert missing == dict.fromkeys(names, "no row is of class blue flag")


@pytest.mark.parametrize("y", [np.ones(5), np.ones(1), np.c_[np.arange(5.0), np.ones(5)]])
def test_equal_targets_have_no_r2(y):
    found = NUMBERS.scores(y, Answers(y + 1.0))
    assert list(found.missing) == ["r2"]
    assert found.values["mae"] == 1.0


def test_what_a_loss_does_not_give_is_missing():
    found = TWO.scores(Y2, answers_of(get_loss("hinge"), OUT2))
    assert found.missing == {"log_loss": "the loss of the model gives no probabilities"}
    assert "roc_auc" in found.values
    broken = NUMBERS.scores(np.arange(3.0), Answers(np.array([0.0, np.inf, 1.0])))
    assert broken.values == {}
    assert set(broken.missing.values()) == {"the predicted of a row are NaN or infinite"}


def test_compression_has_none():
    assert Scoring("compression", ("a", "b")).metrics == {}


# ------------------------------------------------------------------------------------------- names


def test_an_unknown_name_is_refused_with_the_list():
    with pytest.raises(UnknownNameError) as caught:
        THREE.check(["accuracy", "recall_rose"], "trainer.metrics")
    assert (caught.value.field, caught.value.value) == ("trainer.metrics", "recall_rose")
    assert "recall_blue_flag" in caught.value.fix
    assert "r2" not in caught.value.fix
    with pytest.raises(UnknownNameError):
        NUMBERS.check(["accuracy"], "metrics")


def test_every_class_has_a_name_of_its_own():
    assert recall_names(["a b", "a/b", "c", "é"]) == (
        "recall_a_b_0", "recall_a_b_1", "recall_c", "recall_é",
    )  # fmt: skip
    assert recall_names(["?", ""]) == ("recall_class_0", "recall_class_1")


@pytest.mark.parametrize("split", ["", "train_", "val_", "test_"])
@pytest.mark.parametrize("name", [*METRICS, "recall_loss", "recall_time_error"])
def test_the_direction_of_each_is_known_everywhere(split, name):
    larger = name not in {"log_loss", "mae", "rmse", "mse"}
    assert table_direction(split + name) is larger
    assert larger_is_better(split + name, "auto") is larger
    assert better_mode(split + name) == ("max" if larger else "min")
    assert table_direction(f"{split}loss") is None


@pytest.mark.parametrize(
    ("counts", "uneven"),
    [((50, 50), False), ((60, 40), False), ((75, 25), False), ((76, 24), True), ((937, 41), True),
     ((10, 10, 3), True), ((10, 10, 6), False), ((), False), ((5, 0), True)],
)  # fmt: skip
def test_uneven_classes_are_those_that_accuracy_hides(counts, uneven):
    assert is_uneven(counts) is uneven


def test_a_class_of_which_nothing_is_found_is_named():
    assert missed_classes(np.array([0, 1, 1]), np.array([0, 0, 0]), ["no", "spill"]) == ["spill"]
    assert missed_classes(np.array([0, 0]), np.array([0, 0]), ["no", "spill"]) == []
    rows = np.array([[1, 0], [1, 1]])
    assert missed_classes(rows, np.array([[1, 0], [1, 0]]), ["a", "b"]) == ["b"]


def test_scikit_learn_is_imported_only_where_a_metric_is_computed():
    code = "import sys, qstore_ray.train.trainer; print('sklearn' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "False"


def test_the_recall_of_a_class_counts_the_weights_of_its_rows():
    y, predicted = np.array([0, 0, 1, 2]), np.array([0, 1, 1, 2])
    weight = np.array([3.0, 1.0, 1.0, 1.0])
    assert _recall(0).value(y, predicted, weight) == 0.75
    assert _recall(0).value(y, predicted, None) == 0.5
    labels = np.stack([y == 0, y == 1], axis=1).astype(int)
    told = np.stack([predicted == 0, predicted == 1], axis=1).astype(int)
    assert _recall(0).value(labels, told, weight) == 0.75

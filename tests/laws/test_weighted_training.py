"""Weights of rows, metrics of val and scaled targets obey the laws of training too.

W workers = 1 worker, resumed = uninterrupted, bit for bit; and what was not asked for changes no
bit of a run.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qstore_ray.backends import open_backend
from qstore_ray.learn import step
from qstore_ray.learn.config import ModelConfig
from qstore_ray.learn.gradients import get_gradient
from qstore_ray.learn.model import build_model
from qstore_ray.learn.targets import TargetScaling
from qstore_ray.track.jsonl import read_records
from qstore_ray.train.job import Assignment, TrainingRows
from tests.laws.test_training import _end, _job, _train

NAMES = ("setosa", "versicolor", "virginica")
METRICS = ("balanced_accuracy", "roc_auc", "recall_virginica", "log_loss")
WAYS = ["standard", "balanced"]


@pytest.fixture(scope="module")
def flowers() -> TrainingRows:
    from sklearn.datasets import load_iris

    x, y = load_iris(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    x, y = ((x - x.mean(axis=0)) / x.std(axis=0))[order], y[order]
    return TrainingRows(x[:61], y[:61], x[61:98], y[61:98])


def _weighted(rows: TrainingRows) -> TrainingRows:
    return rows._replace(weight=np.random.default_rng(1).integers(0, 4, len(rows.x)).astype(float))


def _scored(job: Assignment, metrics=METRICS) -> Assignment:
    return replace(job, metrics=metrics, class_names=NAMES)


@pytest.mark.parametrize("batches", WAYS)
@pytest.mark.parametrize("optimizer", ["adam", "spsa", "gcans"])
def test_weighted_rows_on_three_workers_and_resumed_end_with_the_bits_of_one(
    flowers, tmp_path, batches, optimizer
):
    rows, options = _weighted(flowers), {"epochs": 2, "batches": batches, "optimizer": optimizer}
    jobs = [_scored(_job(tmp_path / str(w), **options)) for w in (0, 3)]
    one, three = (_end(job, _train(job, rows, w)) for job, w in zip(jobs, (0, 3), strict=True))
    assert one == three
    job = _scored(_job(tmp_path / "resumed", **options))
    _train(job, rows, 2, stop_after=3)
    assert _end(job, _train(job, rows)) == one
    assert set(one.epochs[-1]) > {f"val_{name}" for name in METRICS}


@pytest.mark.parametrize("metrics", [(), METRICS])
def test_weights_of_val_weigh_its_loss_and_accuracy_on_any_workers(flowers, tmp_path, metrics):
    """A weight of val is a number of repetitions, and three workers give the bits of one."""
    times = np.arange(len(flowers.x_val)) % 3 + 1
    again = np.repeat(np.arange(len(times)), times)
    weighted = _weighted(flowers)._replace(weight_val=times.astype(float))
    repeated = _weighted(flowers)._replace(x_val=flowers.x_val[again], y_val=flowers.y_val[again])
    jobs = [_scored(_job(tmp_path / name, epochs=2), metrics) for name in ("one", "three", "again")]
    ends = [
        _end(job, _train(job, rows, workers))
        for job, rows, workers in zip(jobs, (weighted, weighted, repeated), (0, 3, 0), strict=True)
    ]
    assert ends[0] == ends[1]
    assert ends[0].theta == ends[2].theta
    for one, other in zip(ends[0].epochs, ends[2].epochs, strict=True):
        for name in ("val_loss", "val_accuracy", *(f"val_{metric}" for metric in metrics)):
            assert one[name] == pytest.approx(other[name], rel=1e-9), name


def test_metrics_change_no_bit_of_a_run(flowers, tmp_path):
    plain, scored = _job(tmp_path / "plain"), _scored(_job(tmp_path / "scored"))
    without, having = (_end(job, _train(job, flowers)) for job in (plain, scored))
    assert without.theta == having.theta
    for one, other in zip(without.epochs, having.epochs, strict=True):
        assert one == {k: v for k, v in other.items() if k.removeprefix("val_") not in METRICS}


def test_equal_weights_are_the_mean_and_no_row_of_weight_zero_counts(flowers, tmp_path):
    """One batch of all rows: the first loss is Σ w ℓ / Σ w, and rows of weight 0 are not there."""
    weight = np.where(np.arange(61) < 40, 2.0, 0.0)
    some = TrainingRows(flowers.x[:40], flowers.y[:40], flowers.x_val, flowers.y_val)
    options = {"batch_size": 100, "epochs": 3}
    ends = [
        _end(job, _train(job, rows))
        for job, rows in (
            (_job(tmp_path / "weighted", **options), flowers._replace(weight=weight)),
            (_job(tmp_path / "removed", **options), some),
        )
    ]
    for one, other in zip(ends[0].epochs, ends[1].epochs, strict=True):
        assert one["train_loss"] == pytest.approx(other["train_loss"], rel=1e-9)
        assert one["val_loss"] == pytest.approx(other["val_loss"], rel=1e-6)


MODEL = build_model(ModelConfig(n_qubits=2, layers=1), n_features=2, n_classes=3)
BACKEND = open_backend("statevector", {})


@settings(max_examples=25)
@given(weight=st.lists(st.integers(0, 5), min_size=1, max_size=40))
def test_a_weight_is_a_number_of_repetitions(weight):
    rng = np.random.default_rng(len(weight))
    x, y = rng.normal(size=(len(weight), 2)), rng.integers(0, 3, len(weight))
    theta, method = MODEL.initial(0), get_gradient("auto", BACKEND)
    found = step.total(
        step.value_and_grad(MODEL, theta, x, y, BACKEND, method, np.array(weight, float))
    )
    assert found.n_rows == len(weight)
    if sum(weight) == 0:
        assert found.loss == 0.0
        assert not found.gradient.any()
        return
    again = np.repeat(np.arange(len(weight)), weight)
    repeated = step.total(step.value_and_grad(MODEL, theta, x[again], y[again], BACKEND, method))
    assert found.loss == pytest.approx(repeated.loss)
    np.testing.assert_allclose(found.gradient, repeated.gradient, atol=1e-12)
    scores = step.evaluate(MODEL, theta, x, y, BACKEND, np.array(weight, float)).sum(axis=0)
    assert scores[0] == pytest.approx(found.loss)


def test_a_metric_that_val_does_not_define_is_left_out_with_a_warning(flowers, tmp_path):
    rows = flowers._replace(y_val=np.minimum(flowers.y_val, 1))
    job = _scored(_job(tmp_path, epochs=1))
    (record,) = _end(job, _train(job, rows, 2)).epochs
    assert "val_balanced_accuracy" in record
    assert "val_roc_auc" not in record
    said = [
        r["message"] for r in read_records(tmp_path / "metrics.jsonl") if r["event"] == "warning"
    ]
    assert said == [
        "val_roc_auc is not recorded: no row is of class virginica",
        "val_recall_virginica is not recorded: no row is of class virginica",
    ]


def test_errors_are_in_the_units_of_the_data(flowers, tmp_path):
    """The loss is of scaled targets; the metrics of val are not."""
    y = 1e4 * flowers.x[:, 0] + 5e4
    y_val = 1e4 * flowers.x_val[:, 0] + 5e4
    scaling = TargetScaling.of(y)
    rows = TrainingRows(flowers.x, scaling.apply(y), flowers.x_val, scaling.apply(y_val))
    model = build_model(ModelConfig(n_qubits=4, layers=1), n_features=4, n_classes=None)
    ends = []
    for workers in (0, 2):
        job = replace(
            _job(tmp_path / str(workers), epochs=2),
            model=model, targets=scaling, metrics=("r2", "rmse", "mse"),
        )  # fmt: skip
        ends.append(_end(job, _train(job, rows, workers)))
    assert ends[0] == ends[1]
    record = ends[0].epochs[-1]
    assert record["val_mse"] == pytest.approx(record["val_loss"] * scaling.std[0] ** 2)
    assert record["val_r2"] == pytest.approx(1 - record["val_mse"] / y_val.var())

"""Searches that are judged by a metric of the table: recorded by every trial, in its direction."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from qstore_ray.data.loader import DatasetLoader
from qstore_ray.errors import ConfigError, DataError, RunError, RunExistsError, UnknownNameError
from qstore_ray.track.jsonl import epoch_records, read_records
from qstore_ray.train.config import TrainerConfig
from qstore_ray.tune.driver.checks import checked_search
from qstore_ray.tune.driver.refit import _without_val
from qstore_ray.tune.metrics import metrics_to_record
from qstore_ray.tune.objective import Objective
from qstore_ray.tune.study.recipe import check_same, study_recipe
from qstore_ray.tune.trial.epoch_reports import value_of
from qstore_ray.tune.trial.parts import combine, parts_of
from qstore_ray.tune.trial.training import PartTrainer
from tests.small_search import RATE, config_of, job_of, plan_of

JUDGED = [{"metric": "val_balanced_accuracy"}, {"metric": "val_recall_setosa"}]


def test_a_trial_records_what_it_is_judged_by(tmp_path: Path):
    job = job_of(tmp_path, metrics=["roc_auc"])
    plan = plan_of(job, config_of(objectives=JUDGED, sampler="nsga2"))
    trial = plan.trial_job("trial", {RATE: 0.1})
    assert trial.trainer.metrics == ("roc_auc", "balanced_accuracy", "recall_setosa")
    found = PartTrainer(plan).train(trial, threading.Event())
    last = epoch_records(read_records(Path(trial.storage) / "trial" / "metrics.jsonl"))[-1]
    for name in ("val_balanced_accuracy", "val_recall_setosa", "val_roc_auc"):
        assert found[name] == last[name]
    assert not any(name.startswith("test_") for name in found)


@pytest.mark.parametrize(
    ("metric", "direction"),
    [("val_f1_macro", "maximize"), ("val_log_loss", "minimize"), ("val_rmse", "minimize"),
     ("val_r2", "maximize"), ("val_recall_time", "maximize"), ("val_loss", "minimize")],
)  # fmt: skip
def test_the_direction_of_an_objective_is_the_metrics(metric, direction):
    assert Objective(metric=metric).direction == direction


def test_only_metrics_of_the_table_are_asked_for():
    names = ("val_loss", "val_accuracy", "train_loss", "parameters", "val_hamming")
    assert metrics_to_record([Objective(metric=n, mode="min") for n in names]) == ("hamming",)


def test_an_objective_that_does_not_fit_is_refused_before_the_search(tmp_path):
    job = job_of(tmp_path)
    data = DatasetLoader.load(job.dataset)
    checked_search(job, config_of(objectives=JUDGED[:1]), data)
    for metric in ("val_recall_rose", "val_r2"):
        with pytest.raises(UnknownNameError, match="unknown metric") as caught:
            checked_search(job, config_of(objectives=[{"metric": metric}]), data)
        assert "val_recall_virginica" in caught.value.fix


def test_an_objective_that_val_does_not_define_is_refused_before_the_search(tmp_path):
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(60, 2)), np.arange(60) % 2
    held = (x[:10], np.zeros(10, np.int64))
    data = DatasetLoader.from_arrays(x, y, val=held, split={"train": 1.0})
    config = config_of(objectives=[{"metric": "val_roc_auc"}], refit=False)
    with pytest.raises(ConfigError, match="every row is of class 0") as caught:
        checked_search(job_of(tmp_path), config, data)
    assert caught.value.field == "tune.objectives.0.metric"


def test_a_refit_without_val_asks_for_nothing_of_val():
    config = TrainerConfig(
        metrics=["roc_auc"], monitor="val_balanced_accuracy", schedule="plateau",
        callbacks=[{"name": "early_stopping", "monitor": "val_roc_auc"},
                   {"name": "model_checkpoint", "monitor": "val_r2"}],
    )  # fmt: skip
    notes: list[str] = []
    found = _without_val(config, None, notes)
    assert found.metrics == ()
    assert found.monitor == "train_loss"
    assert [table["name"] for table in found.callbacks] == ["model_checkpoint"]
    assert found.callbacks[0]["monitor"] == "train_loss"


def test_an_earlier_study_goes_on(tmp_path):
    """Of classes nothing changed; of numbers the targets are scaled now, and were not."""
    config = config_of()
    job = job_of(tmp_path)
    now = study_recipe(config.space, job, config.objectives, "data")
    assert not {"target_scaling", "metrics", "class_weight"} & now["decides"]["trainer"].keys()
    task = job.dataset.model_copy(update={"task": "regression"})
    numbers = job.model_copy(update={"dataset": task})
    scaled = study_recipe(config.space, numbers, config.objectives, "data")
    earlier = {**scaled, "decides": {**scaled["decides"]}}
    earlier["decides"]["trainer"] = {
        k: v for k, v in scaled["decides"]["trainer"].items() if k != "target_scaling"
    }
    with pytest.raises(RunExistsError, match="none") as caught:
        check_same(earlier, scaled)
    assert caught.value.field == "trainer.target_scaling"
    trainer = job.trainer.model_copy(update={"target_scaling": "none"})
    unscaled = numbers.model_copy(update={"trainer": trainer})
    check_same(earlier, study_recipe(config.space, unscaled, config.objectives, "data"))


def test_a_fold_that_does_not_define_a_metric_leaves_it_without_a_mean():
    parts = parts_of(config_of(folds=2), job_of(Path()))
    results = [{"val_loss": 1.0, "val_roc_auc": 0.5}, {"val_loss": 2.0}]
    found = combine(parts, results)
    assert found.metrics.keys() == {"val_loss"}
    assert found.metrics["val_loss"].value == 1.5
    with pytest.raises(RunError, match="no such metric"):
        combine(parts, [{"val_loss": 1.0, "val_accuracy": 0.5}, {"val_loss": 2.0}])


def test_a_trial_without_the_metric_it_is_judged_by_says_why():
    objective = Objective(metric="val_roc_auc")
    with pytest.raises(DataError, match="do not define") as caught:
        value_of(objective, {"val_loss": 1.0})
    assert caught.value.value == "val_roc_auc"
    assert value_of(objective, {"val_roc_auc": 0.75}) == 0.75

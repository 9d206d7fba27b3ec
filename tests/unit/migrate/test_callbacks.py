"""Callbacks and early stopping of Q-Store: each becomes one of ours, a tracker, or a line that says
what to do."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from qstore_ray.job import JobConfig
from qstore_ray.migrate.migrate import MigratedJob, migrate_file
from qstore_ray.track.config import TrackConfig

IRIS = ["dataset.name=iris", "dataset.source=sklearn", "dataset.params.dataset=iris"]


def migrated(values: dict[str, Any], tmp_path: Path) -> MigratedJob:
    file = tmp_path / "old.json"
    file.write_text(json.dumps({"TrainingConfig": {"n_qubits": 4} | values}))
    (job,) = migrate_file(file, IRIS).jobs
    assert job.missing == ""
    return job


def of_python(argument: str, tmp_path: Path) -> MigratedJob:
    file = tmp_path / "old.py"
    file.write_text(
        "from q_store.ml import CSVLogger, EarlyStopping, TrainingConfig\n"
        f"config = TrainingConfig(epochs=3, {argument})\n"
    )
    (job,) = migrate_file(file, IRIS).jobs
    assert job.missing == ""
    return job


def config(job: MigratedJob, tmp_path: Path) -> JobConfig:
    (tmp_path / "new.toml").write_text(job.toml)
    return JobConfig.load(tmp_path / "new.toml")


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"type": "early_stopping", "patience": 4, "min_delta": 0.01, "mode": "min",
          "baseline": None, "restore_best_weights": True, "monitor": "val_loss"},
         {"name": "early_stopping", "patience": 4, "min_delta": 0.01, "mode": "min",
          "monitor": "val_loss", "restore_best": True}),
        ({"callback_type": "checkpoint", "filepath": "a/best.pkl", "monitor": "val_accuracy",
          "mode": "max"},
         {"name": "model_checkpoint", "monitor": "val_accuracy", "mode": "max"}),
        ({"type": "ModelCheckpoint", "monitor": "val_loss"},
         {"name": "model_checkpoint", "monitor": "val_loss"}),
        ({"type": "csv", "filename": "logs/rows.csv"},
         {"name": "metrics_logger", "file": "rows.csv"}),
        ({"type": "csv"}, {"name": "metrics_logger"}),
        ({"type": "lr_logger"}, {"name": "learning_rate_monitor"}),
        ("lr_logger", {"name": "learning_rate_monitor"}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("in_list", [True, False])
def test_a_callback_becomes_ours_with_its_options(given, wanted, in_list, tmp_path):
    """The old trainer took one callback as it took a list of them."""
    job = migrated({"callbacks": [given] if in_list else given}, tmp_path)
    (written,) = tomllib.loads(job.toml)["trainer"]["callbacks"]
    assert written == wanted
    (callback,) = config(job, tmp_path).trainer.callbacks
    assert wanted.items() <= callback.items()


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("tensorboard", {"tensorboard": True}),
        ({"type": "tensorboard", "log_dir": "runs"}, {"tensorboard": True}),
        ({"type": "wandb", "project": "molecules", "entity": "chemistry"},
         {"wandb": "online", "wandb_project": "molecules", "wandb_entity": "chemistry"}),
        ("wandb", {"wandb": "online"}),
        ({"type": "mlflow", "tracking_uri": "https://mlflow.example.org", "experiment_name": "iris",
          "log_system_metrics": True, "tags": {"team": "chemistry"}},
         {"mlflow_uri": "https://mlflow.example.org", "experiment": "iris",
          "mlflow_system_metrics": True, "tags": {"team": "chemistry"}}),
        ({"type": "mlflow", "tracking_uri": "./mlruns", "run_name": "first"}, {}),
        ({"type": "mlflow", "tracking_uri": None}, {}),
    ],
)  # fmt: skip
def test_a_tracker_is_a_field_of_track_and_no_callback(given, wanted, tmp_path):
    job = migrated({"callbacks": [given]}, tmp_path)
    loaded = config(job, tmp_path)
    assert loaded.trainer.callbacks == ()
    track = loaded.track
    assert {name: getattr(track, name) for name in wanted} == wanted
    usual = TrackConfig()
    others = set(type(track).model_fields) - set(wanted)
    assert {name: getattr(track, name) for name in others} == {
        name: getattr(usual, name) for name in others
    }


@pytest.mark.parametrize(
    ("given", "key", "state", "words"),
    [
        ({"type": "mlflow", "tracking_uri": "./mlruns"}, "MLflowCallback.tracking_uri", "dropped",
         "sqlite beside the runs"),
        ({"type": "mlflow", "run_name": "first"}, "MLflowCallback.run_name", "dropped",
         "the name of the job"),
        ({"type": "mlflow", "artifact_location": "a"}, "MLflowCallback.artifact_location",
         "dropped", "beside the database"),
        ({"type": "progress", "print_freq": 3}, "ProgressCallback.print_freq", "dropped",
         "always shown"),
        ({"type": "Fireworks"}, "Fireworks.()", "dropped", "qstore_ray.Callback"),
        ({"kind": "csv"}, "TrainingConfig.callbacks", "unknown", "{'kind': 'csv'} cannot be read"),
        (7, "TrainingConfig.callbacks", "unknown", "7 cannot be read"),
        ("fireworks", "TrainingConfig.callbacks", "unknown", "'fireworks' cannot be read"),
    ],
)  # fmt: skip
def test_what_is_no_callback_here_is_listed(given, key, state, words, tmp_path):
    job = migrated({"callbacks": [given]}, tmp_path)
    assert config(job, tmp_path).trainer.callbacks == ()
    (found,) = [each for each in job.keys if each.old == key]
    assert (found.state, words in found.text) == (state, True), found


@pytest.mark.parametrize(
    ("argument", "key", "words"),
    [
        ("callbacks=usual_callbacks()", "TrainingConfig.callbacks", "made elsewhere"),
        ("callbacks=[Mine(3)]", "TrainingConfig.callbacks", "Mine(3) cannot be read"),
        ("enable_early_stopping=is_long()", "TrainingConfig.enable_early_stopping", "computes if"),
    ],
)
def test_a_callback_that_the_program_computes_is_unknown(argument, key, words, tmp_path):
    job = of_python(argument, tmp_path)
    assert config(job, tmp_path).trainer.callbacks == ()
    (found,) = [each for each in job.keys if each.old == key]
    assert (found.state, words in found.text) == ("unknown", True), found


def test_an_option_that_the_program_computes_is_left_out(tmp_path):
    job = of_python(
        "callbacks=[CSVLogger(name()), EarlyStopping(patience=p, mode='min')]", tmp_path
    )
    assert tomllib.loads(job.toml)["trainer"]["callbacks"] == [
        {"name": "metrics_logger"}, {"name": "early_stopping", "mode": "min"}
    ]  # fmt: skip


def test_nothing_is_said_about_early_stopping_that_is_not_known(tmp_path):
    """Whether a patience had an effect depends on what the program computes."""
    job = of_python("enable_early_stopping=is_long(), early_stopping_patience=3", tmp_path)
    (patience,) = [key for key in job.keys if key.old.endswith(".early_stopping_patience")]
    assert (patience.state, "no effect" in patience.text) == ("unknown", False)


def test_early_stopping_that_is_off_has_no_callback(tmp_path):
    job = migrated({"enable_early_stopping": False, "early_stopping_patience": 3}, tmp_path)
    assert config(job, tmp_path).trainer.callbacks == ()
    states = {key.old.partition(".")[2]: key.state for key in job.keys}
    assert states["enable_early_stopping"] == states["early_stopping_patience"] == "dropped"

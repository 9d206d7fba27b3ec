"""Every field of Q-Store's TrainingConfig is listed, and what has a counterpart is written."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qstore_ray.errors import DataError, UsageError
from qstore_ray.job import JobConfig
from qstore_ray.learn.schedules import SCHEDULES
from qstore_ray.learn.schedules.base import Horizon, Tick
from qstore_ray.migrate.key import STATES
from qstore_ray.migrate.migrate import MigratedJob, migrate_file, migrate_paths, write_jobs
from qstore_ray.migrate.reading import TRAINING_FIELDS

IRIS = ["dataset.name=iris", "dataset.source=sklearn", "dataset.params.dataset=iris"]
SECRET = "k7Qp2ZtR9vLx4WmN"

# A value that the old program took, for each field.
VALUES = {
    "adaptive_batch_sizing": True,
    "backend_configs": [{"name": "a"}],
    "batch_size": 16,
    "callbacks": ["checkpoint", "csv", "lr_logger", "tensorboard", "progress"],
    "checkpoint_directory": "./checkpoints",
    "checkpoint_interval": 5,
    "circuit_depth": 3,
    "circuit_depth_schedule": "linear",
    "dataset_name": "mnist",
    "dataset_params": {"dataset_module": "tensorflow.keras.datasets.mnist"},
    "dataset_source": "keras",
    "early_stopping_min_delta": 0.001,
    "early_stopping_monitor": "val_loss",
    "early_stopping_patience": 4,
    "enable_early_stopping": True,
    "entanglement": "circular",
    "epochs": 7,
    "gradient_clip_value": 0.5,
    "gradient_method": "spsa_parallel",
    "hardware_efficient_ansatz": True,
    "learning_rate": 0.02,
    "lr_scheduler": "plateau",
    "lr_scheduler_params": {"factor": 0.5, "patience": 3},
    "momentum": 0.8,
    "n_qubits": 6,
    "optimizer": "sgd",
    "performance_log_dir": None,
    "pinecone_api_key": SECRET,
    "quantum_api_key": SECRET,
    "quantum_sdk": "mock",
    "quantum_target": "simulator",
    "shots_per_circuit": 512,
    "spsa_c_initial": 0.1,
    "use_gradient_clipping": True,
    "use_natural_gradient": False,
    "weight_decay": 0.01,
}


def migrated(values: dict, tmp_path: Path, changes: list[str] | None = None) -> MigratedJob:
    file = tmp_path / "old.json"
    file.write_text(json.dumps({"TrainingConfig": values}))
    (job,) = migrate_file(file, IRIS if changes is None else changes).jobs
    return job


def loaded(job: MigratedJob, tmp_path: Path) -> JobConfig:
    assert job.missing == ""
    file = tmp_path / "new.toml"
    file.write_text(job.toml)
    return JobConfig.load(file)


def test_all_fields_of_the_old_class_are_known():
    """73 of release 4.1.1, and the one that release 4.0 had in place of another."""
    assert len(TRAINING_FIELDS) == 74
    assert set(VALUES) <= TRAINING_FIELDS


@settings(max_examples=10, deadline=None)
@given(st.sets(st.sampled_from(sorted(TRAINING_FIELDS)), min_size=1))
def test_every_key_is_listed_and_the_job_can_be_read(tmp_path_factory, fields):
    tmp_path = tmp_path_factory.mktemp("old")
    values = {"n_qubits": 4} | {name: VALUES.get(name, True) for name in fields}
    job = migrated(values, tmp_path)
    listed = {key.old for key in job.keys}
    known = set(values) - {"callbacks"}  # each callback is listed by itself
    if "dataset_source" in values:  # and so is each field of the data
        known -= {"dataset_source", "dataset_name", "dataset_params"}
    assert {f"TrainingConfig.{name}" for name in known} <= listed
    assert {key.state for key in job.keys} <= set(STATES)
    assert SECRET not in job.toml + repr(job.keys)
    loaded(job, tmp_path)


def test_the_whole_class_becomes_this_job(tmp_path):
    config = loaded(migrated(VALUES, tmp_path, []), tmp_path)
    assert (config.model.n_qubits, config.model.layers) == (6, 3)
    assert (config.model.entanglement, config.model.ansatz) == ("ring", "hardware_efficient")
    trainer = config.trainer
    assert (trainer.epochs, trainer.batch_size, trainer.learning_rate) == (7, 16, 0.02)
    assert (trainer.optimizer, trainer.optimizer_options) == ("sgd", {"momentum": 0.8})
    assert (trainer.gradient, trainer.gradient_options) == ("spsa", {"size": 0.1})
    assert trainer.backend_options == {"shots": 512}
    assert trainer.clip_norm == 0.5
    assert trainer.schedule == "plateau"
    assert trainer.checkpoint_every_epochs == 5
    assert config.storage == "./checkpoints"
    assert config.dataset.source == "keras"
    assert config.dataset.params["dataset"] == "mnist"
    assert config.track.tensorboard
    assert [each["name"] for each in trainer.callbacks] == [
        "early_stopping", "model_checkpoint", "metrics_logger", "learning_rate_monitor"
    ]  # fmt: skip
    assert trainer.callbacks[0]["patience"] == 4


def test_old_defaults_that_differ_are_written(tmp_path):
    job = migrated({"quantum_sdk": "mock"}, tmp_path)
    config = loaded(job, tmp_path)
    assert (config.trainer.epochs, config.trainer.learning_rate) == (100, 0.01)
    assert (config.trainer.schedule, config.trainer.gradient) == ("constant", "spsa")
    assert (config.model.n_qubits, config.model.entanglement) == (10, "linear")
    assert config.trainer.clip_norm == 1.0
    written = {key.new for key in job.keys if key.state == "default"}
    assert {"trainer.epochs", "trainer.schedule", "trainer.clip_norm"} <= written


@pytest.mark.parametrize(
    ("name", "params", "rates"),
    [
        ("step", {"step_size": 2, "gamma": 0.5}, [0.1, 0.1, 0.05, 0.05]),
        ("exponential", {"gamma": 0.5}, [0.1, 0.05, 0.025]),
        ("cosine", {"T_max": 4, "eta_min": 0.02}, [0.1, 0.0882842712, 0.06, 0.0317157288, 0.02]),
        ("cyclic", {"max_lr": 0.4, "step_size": 2}, [0.1, 0.25, 0.4, 0.25, 0.1]),
        ("warmup", {"warmup_steps": 4}, [0.025, 0.05, 0.075, 0.1, 0.1]),
    ],
)
def test_a_schedule_gives_the_old_rates_epoch_by_epoch(name, params, rates, tmp_path):
    """The rates are those of the old formulas, worked out by hand."""
    values = {"learning_rate": 0.1, "lr_scheduler": name, "lr_scheduler_params": params}
    trainer = loaded(migrated(values, tmp_path), tmp_path).trainer
    schedule = SCHEDULES[trainer.schedule](**trainer.schedule_options)
    state, found = schedule.init(Horizon(len(rates), 1)), []
    for _ in rates:
        factor, state = schedule.update(state, Tick(begins_epoch=True))
        found.append(trainer.learning_rate * factor)
    assert found == pytest.approx(rates)


@pytest.mark.parametrize(
    ("values", "key", "state", "words"),
    [
        ({"optimizer": "natural_gradient"}, "optimizer", "changed", "qng"),
        ({"optimizer": "adam", "momentum": 0.5}, "momentum", "dropped", "no effect"),
        ({"gradient_method": "finite_diff"}, "gradient_method", "changed", "parameter_shift"),
        ({"gradient_method": "adaptive"}, "gradient_method", "dropped", "choose"),
        ({"lr_scheduler": "cosin"}, "lr_scheduler", "changed", "constant"),
        ({"lr_scheduler": "step"}, "lr_scheduler", "unknown", "step_size"),
        ({"lr_scheduler_params": {"gamma": 1}}, "lr_scheduler_params", "dropped", "without"),
        ({"early_stopping_patience": 3}, "early_stopping_patience", "dropped", "was off"),
        ({"entanglement": "hardware_aware"}, "entanglement", "dropped", "linear, ring"),
        ({"hardware_efficient_ansatz": False}, "hardware_efficient_ansatz", "dropped", "RX RY"),
        ({"gradient_clip_value": 2, "use_gradient_clipping": False}, "gradient_clip_value",
         "dropped", "off"),
        ({"learning_rates": 2, "n_qubits": 2}, "learning_rates", "dropped", "unknown in Q-Store"),
    ],
)  # fmt: skip
def test_what_the_old_trainer_did_with_it_is_said(values, key, state, words, tmp_path):
    job = migrated({"quantum_sdk": "mock"} | values, tmp_path)
    (found,) = [each for each in job.keys if each.old == f"TrainingConfig.{key}"]
    assert (found.state, words in found.text) == (state, True), found
    loaded(job, tmp_path)


def test_a_job_without_data_is_not_complete_and_not_written(tmp_path):
    job = migrated({"n_qubits": 4}, tmp_path, [])
    assert "dataset" in job.missing
    assert tomllib.loads(job.toml)["model"]["n_qubits"] == 4
    with pytest.raises(UsageError, match="not complete"):
        write_jobs(migrate_paths(tmp_path / "old.json"))
    assert [path.name for path in tmp_path.iterdir()] == ["old.json"]


def test_a_job_is_written_once(tmp_path):
    migrated({"n_qubits": 4}, tmp_path)
    found = migrate_paths(tmp_path, IRIS)
    (path,) = write_jobs(found)
    assert (path.name, JobConfig.load(path).name) == ("old.job.toml", "old")
    with pytest.raises(UsageError, match="exists"):
        write_jobs(found)


@pytest.mark.parametrize("text", ["", "[]", '{"epochs": 3, "batch_size": 4}', '{"a": {"b": 1}}'])
def test_a_file_of_another_program_is_not_taken_for_one(text, tmp_path):
    file = tmp_path / "other.json"
    file.write_text(text)
    with pytest.raises(DataError):
        migrate_paths(file)


def test_aliases_of_yaml_cannot_grow_without_end(tmp_path):
    lines = ["a: &a [1, 1]"] + [
        f"{b}: &{b} [*{a}, *{a}]" for a, b in zip("abcdefghijk", "bcdefghijkl", strict=True)
    ]
    file = tmp_path / "old.yaml"
    file.write_text("\n".join(lines))
    with pytest.raises(DataError, match="aliases"):
        migrate_paths(file)

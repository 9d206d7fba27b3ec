"""A run that is resumed with another configuration is refused: field, earlier value, value now."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from qstore_ray.data.config import DatasetConfig
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.errors import RunExistsError
from qstore_ray.job import JobConfig, run_job
from qstore_ray.learn.config import ModelConfig
from qstore_ray.track.config import TrackConfig
from qstore_ray.train.config import TrainerConfig
from qstore_ray.train.request import RunRequest
from qstore_ray.train.run.run_folder import open_run_folder
from qstore_ray.train.trainer import QuantumTrainer

STOPPING = {"name": "early_stopping", "patience": 7, "monitor": "train_loss"}
DATASET = {
    "name": "iris",
    "params": {"dataset": "iris"},
    "split": {"train": 0.6, "val": 0.2, "test": 0.2},
    "preprocessing": [{"name": "minmax"}],
}
MODEL = {"n_qubits": 4, "layers": 1}
TRAINER = {"epochs": 2, "batch_size": 45, "schedule": "constant", "callbacks": [STOPPING]}
FIELDS: list[tuple[str, Any, Any]] = [
    ("trainer.batch_size", 45, 30),
    ("trainer.seed", 0, 7),
    ("trainer.optimizer", "adam", "sgd"),
    ("trainer.learning_rate", 0.05, 0.3),
    ("trainer.schedule", "constant", "cosine"),
    ("trainer.epochs", 2, 1),
    ("trainer.callbacks.0.patience", 7, 8),
    ("model.n_qubits", 4, 5),
    ("model.layers", 1, 2),
    ("dataset.seed", 0, 3),
    ("dataset.preprocessing.0.name", "minmax", "standard"),
    ("dataset.stratify", True, False),
]


def _set(tables: dict[str, Any], field: str, value: Any) -> dict[str, Any]:
    name, _, rest = field.partition(".")
    if not rest:
        return {**tables, name: value}
    inner = tables.get(name, {})
    if isinstance(inner, list):
        place, _, key = rest.partition(".")
        return {**tables, name: [_set(t, key, value) if i == int(place) else t for i, t in
                                 enumerate(inner)]}  # fmt: skip
    return {**tables, name: _set(inner, rest, value)}


def _fit(storage: Path, tables: dict[str, Any], existing: str = "error") -> Path:
    dataset = DatasetLoader.load(DatasetConfig.from_dict(tables["dataset"]))
    trainer = QuantumTrainer(
        ModelConfig.from_dict(tables["model"]),
        TrainerConfig.from_dict(tables["trainer"]),
        name="run",
        storage=storage,
        track=TrackConfig(mlflow=False, figures=False),
    )
    return trainer.run(dataset, RunRequest(existing=existing)).run_dir


@pytest.fixture(scope="module")
def job() -> dict[str, Any]:
    return {"dataset": DATASET, "model": MODEL, "trainer": TRAINER}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, job: dict[str, Any]) -> Path:
    return _fit(tmp_path_factory.mktemp("runs"), job)


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory, job: dict[str, Any]) -> Path:
    run_dir = _fit(tmp_path_factory.mktemp("runs"), job)
    record = run_dir / "run.json"
    record.write_text(record.read_text().replace('"finished"', '"interrupted"'))
    return run_dir


@pytest.mark.parametrize(("field", "then", "now"), FIELDS, ids=[field for field, *_ in FIELDS])
def test_a_resumed_run_that_has_changed_names_the_field_and_both_values(
    interrupted: Path, job, field: str, then: Any, now: Any
):
    before = (interrupted / "run.json").read_bytes()
    with pytest.raises(RunExistsError) as caught:
        _fit(interrupted.parent, _set(job, field, now), existing="resume")
    assert (caught.value.field, caught.value.value) == (field, now)
    assert f"was started with {then!r}" in caught.value.message
    assert f"(got {now!r})" in str(caught.value)
    assert (interrupted / "run.json").read_bytes() == before


def test_all_that_has_changed_is_named(interrupted: Path, job):
    changed = _set(_set(_set(job, "trainer.seed", 1), "model.layers", 2), "dataset.seed", 9)
    with pytest.raises(RunExistsError, match="was started with 0") as caught:
        _fit(interrupted.parent, changed, existing="resume")
    assert caught.value.field == "dataset.seed"
    assert "(also changed: model.layers, trainer.seed)" in caught.value.message


def test_a_callback_that_was_added_is_a_change(interrupted: Path, job):
    second = {**STOPPING, "monitor": "val_loss"}
    changed = _set(job, "trainer.callbacks", [STOPPING, second])
    with pytest.raises(RunExistsError, match="early_stopping") as caught:
        _fit(interrupted.parent, changed, existing="resume")
    assert caught.value.field == "trainer.callbacks"


def test_rows_that_have_changed_in_the_same_file_are_other_data(tmp_path: Path, job):
    file = tmp_path / "rows.csv"
    rows = [f"{i % 7},{i % 5},{'ab'[i % 2]}" for i in range(40)]
    file.write_text("\n".join(["u,v,label", *rows]) + "\n")
    table = {"name": "rows", "source": "local", "params": {"path": str(file)}}
    table |= {"split": DATASET["split"], "preprocessing": DATASET["preprocessing"]}
    job = {**job, "dataset": table, "model": {"n_qubits": 2, "layers": 1}}
    record = _fit(tmp_path, job) / "run.json"
    record.write_text(record.read_text().replace('"finished"', '"failed"'))
    file.write_text(file.read_text().replace("3,", "4,"))
    with pytest.raises(RunExistsError, match="was started with 'other data, fingerprint") as caught:
        _fit(tmp_path, job, existing="resume")
    assert caught.value.field == "dataset"


def test_a_secret_that_has_changed_is_not_shown(tmp_path: Path):
    made = {"data_fingerprint": "d", "config_toml": ""}
    first = {"trainer": {"backend_options": {"token": "first-login", "shots": 1}}}
    open_run_folder(tmp_path, "run", recipe=first, **made).close()
    second = {"trainer": {"backend_options": {"token": "second-login", "shots": 1}}}
    with pytest.raises(RunExistsError, match="token") as caught:
        open_run_folder(tmp_path, "run", recipe=second, existing="resume", **made)
    assert "login" not in str(caught.value)


@pytest.mark.parametrize(("field", "then", "now"), [f for f in FIELDS if f[0] != "trainer.epochs"])
@pytest.mark.parametrize("epochs", [2, 5])
def test_so_does_a_finished_one_with_and_without_more_epochs(
    finished: Path, job, field: str, then: Any, now: Any, epochs: int
):
    changed = _set(_set(job, "trainer.epochs", epochs), field, now)
    with pytest.raises(RunExistsError, match="was started with") as caught:
        _fit(finished.parent, changed, existing="resume")
    assert (caught.value.field, caught.value.value) == (field, now)
    assert repr(then) in caught.value.message


@pytest.mark.parametrize(("field", "then", "now"), [f for f in FIELDS if f[0] != "trainer.epochs"])
def test_a_job_of_a_finished_run_names_it_before_its_data_are_loaded(
    finished: Path, job, field: str, then: Any, now: Any
):
    tables = {"name": "run", "storage": str(finished.parent), **_set(job, field, now)}
    config = JobConfig.from_dict({**tables, "track": {"mlflow": False, "figures": False}})
    with pytest.raises(RunExistsError, match="was started with") as caught:
        run_job(config, existing="resume")
    assert (caught.value.field, caught.value.value) == (field, now)
    assert repr(then) in caught.value.message

"""A run made longer is the longer run; a run begun from a model has its parameters and no more."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from qstore_ray.data.config import DatasetConfig
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.data.read.dataset import Dataset
from qstore_ray.errors import ConfigError, RunExistsError, UsageError
from qstore_ray.learn.config import ModelConfig
from qstore_ray.track.config import TrackConfig
from qstore_ray.track.jsonl import epoch_records, read_records
from qstore_ray.train.config import TrainerConfig
from qstore_ray.train.model.trained import TrainedModel
from qstore_ray.train.result import TrainResult
from qstore_ray.train.run.writing import read_run_record
from qstore_ray.train.trainer import QuantumTrainer

MODEL = ModelConfig(n_qubits=4, layers=1)


@pytest.fixture(scope="module")
def iris() -> Dataset:
    return DatasetLoader.load(
        DatasetConfig(
            name="iris",
            params={"dataset": "iris"},
            split={"train": 0.6, "val": 0.2, "test": 0.2},
            preprocessing=[{"name": "minmax"}],
        )
    )


def _trainer(storage: Path, name: str = "run", model: ModelConfig = MODEL, **options):
    options = {"epochs": 3, "batch_size": 30, "schedule": "constant", **options}
    track = TrackConfig(mlflow=False, figures=False)
    return QuantumTrainer(model, TrainerConfig(**options), name=name, storage=storage, track=track)


def _epochs(result: TrainResult) -> list[dict]:
    records = epoch_records(read_records(result.run_dir / "metrics.jsonl"))
    return [{k: v for k, v in record.items() if k != "seconds"} for record in records]


SCHEDULES = [
    {"schedule": "constant"},
    {"schedule": "step", "schedule_options": {"step_size": 2}},
    {"schedule": "exponential", "schedule_options": {"gamma": 0.5}},
    {"schedule": "plateau", "schedule_options": {"patience": 0}},
    {"schedule": "cosine", "schedule_options": {"T_max": 40, "unit": "step"}},
]


@pytest.mark.parametrize("options", SCHEDULES, ids=lambda o: o["schedule"])
def test_a_run_made_longer_is_the_longer_run_to_the_last_bit(tmp_path, iris, options):
    whole = _trainer(tmp_path, "whole", epochs=5, **options).fit(iris)
    _trainer(tmp_path, epochs=2, **options).fit(iris)
    longer = _trainer(tmp_path, epochs=5, **options).fit(iris, existing="resume")
    assert longer.model.theta.tobytes() == whole.model.theta.tobytes()
    assert _epochs(longer) == _epochs(whole)
    record = read_run_record(longer.run_dir)
    assert (record["status"], record["generation"]) == ("finished", 2)
    assert record["recipe"]["trainer"]["epochs"] == 5
    events = [r["event"] for r in read_records(longer.run_dir / "metrics.jsonl")]
    assert events.count("start") == events.count("end") == 2


def test_so_is_one_that_ended_with_the_parameters_of_its_best_epoch(tmp_path, iris):
    """Early stopping puts the best ones in place; the longer run goes on from the last ones."""
    stopping = {"name": "early_stopping", "patience": 50}
    stopping |= {"monitor": "circuit_evaluations", "mode": "min"}
    options = {"callbacks": [stopping], "learning_rate": 0.3}  # the first epoch stays the best
    whole = _trainer(tmp_path, "whole", epochs=4, **options).fit(iris)
    short = _trainer(tmp_path, epochs=2, **options).fit(iris)
    first = short.history[0]["val_loss"]
    assert short.metrics["val_loss"] == pytest.approx(first, abs=1e-9)
    longer = _trainer(tmp_path, epochs=4, **options).fit(iris, existing="resume")
    assert longer.model.theta.tobytes() == whole.model.theta.tobytes()
    assert _epochs(longer) == _epochs(whole)


@pytest.mark.parametrize("schedule", ["cosine", "one_cycle"])
def test_a_schedule_laid_out_for_the_run_cannot_be_made_longer(tmp_path, iris, schedule):
    done = _trainer(tmp_path, schedule=schedule).fit(iris)
    before = (done.run_dir / "run.json").read_bytes()
    with pytest.raises(RunExistsError, match="laid out for its 3 epochs") as caught:
        _trainer(tmp_path, schedule=schedule, epochs=4).fit(iris, existing="resume")
    assert "trainer.init_from" in caught.value.fix
    assert (done.run_dir / "run.json").read_bytes() == before


@pytest.mark.parametrize("epochs", [2, 3])
def test_a_finished_run_is_not_resumed_without_more_epochs(tmp_path, iris, epochs):
    _trainer(tmp_path).fit(iris)
    with pytest.raises(RunExistsError, match="has finished") as caught:
        _trainer(tmp_path, epochs=epochs).fit(iris, existing="resume")
    assert "its 3 trainer.epochs" in caught.value.fix


def test_what_a_callback_has_ended_stays_ended(tmp_path, iris):
    stopping = {"name": "early_stopping", "patience": 1}
    stopping |= {"monitor": "circuit_evaluations", "mode": "min"}
    done = _trainer(tmp_path, epochs=9, callbacks=[stopping]).fit(iris)
    assert len(done.history) < 9
    with pytest.raises(RunExistsError, match="a callback has ended this run"):
        _trainer(tmp_path, epochs=12, callbacks=[stopping]).fit(iris, existing="resume")


@pytest.mark.parametrize("existing", ["fresh", "", True])
def test_an_unknown_value_of_existing_deletes_nothing(tmp_path, iris, existing):
    done = _trainer(tmp_path).fit(iris)
    before = {p: p.read_bytes() for p in done.run_dir.rglob("*") if p.is_file()}
    with pytest.raises(UsageError, match="of the same name"):
        _trainer(tmp_path, epochs=9).fit(iris, existing=existing)
    assert {p: p.read_bytes() for p in done.run_dir.rglob("*") if p.is_file()} == before


# --------------------------------------------------------------------------------- init_from


def test_a_run_begins_from_the_parameters_of_another(tmp_path, iris):
    first = _trainer(tmp_path, "first").fit(iris)
    file = first.model.save(tmp_path / "first.qsm")
    ways = {
        "field": _trainer(tmp_path, "field", init_from=str(first.run_dir)).fit(iris),
        "folder": _trainer(tmp_path, "folder").fit(iris, init_from=first.run_dir),
        "file": _trainer(tmp_path, "file").fit(iris, init_from=file),
        "model": _trainer(tmp_path, "model").fit(iris, init_from=first.model),
    }
    begun = {way: result.model.theta.tobytes() for way, result in ways.items()}
    assert len(set(begun.values())) == 1
    assert begun["field"] != first.model.theta.tobytes()
    assert ways["field"].history[0]["train_loss"] < first.history[0]["train_loss"]
    for result in ways.values():
        record = read_run_record(result.run_dir)
        assert record["init_from"]["step"] == 9
        assert record["init_from"]["sha256"] == record["recipe"]["init_from"]


def test_a_first_step_of_no_length_keeps_the_parameters(tmp_path, iris):
    first = _trainer(tmp_path, "first").fit(iris)
    still = _trainer(tmp_path, "still", epochs=1, learning_rate=1e-300).fit(
        iris, init_from=first.model
    )
    np.testing.assert_array_equal(still.model.theta, first.model.theta)


@pytest.mark.parametrize(
    ("other", "what"),
    [
        (ModelConfig(n_qubits=4, layers=2), "circuit"),
        (ModelConfig(n_qubits=4, layers=1, observables="x"), "observables"),
        (ModelConfig(n_qubits=4, layers=1, post_layers=[3]), "number of parameters"),
    ],
)
def test_a_model_of_another_shape_is_refused(tmp_path, iris, other, what):
    first = _trainer(tmp_path, "first").fit(iris)
    with pytest.raises(ConfigError, match=what) as caught:
        _trainer(tmp_path, "second", other, init_from=str(first.run_dir)).fit(iris)
    assert caught.value.field == "trainer.init_from"
    assert not (tmp_path / "second").exists()


def test_a_resumed_run_began_from_the_same_parameters(tmp_path, iris):
    first = _trainer(tmp_path, "first").fit(iris)
    other = _trainer(tmp_path, "other", seed=1).fit(iris)
    begun = _trainer(tmp_path, "begun").fit(iris, init_from=first.model)
    with pytest.raises(RunExistsError, match="init_from"):
        _trainer(tmp_path, "begun", epochs=4).fit(iris, init_from=other.model, existing="resume")
    longer = _trainer(tmp_path, "begun", epochs=4).fit(
        iris, init_from=first.model, existing="resume"
    )
    assert len(longer.history) == 4
    assert json.loads((begun.run_dir / "run.json").read_text())["init_from"]["step"] == 9


def test_a_result_reads_in_a_line(tmp_path, iris):
    text = repr(_trainer(tmp_path).fit(iris))
    assert len(text) < 600
    assert "test_accuracy=" in text
    assert isinstance(TrainedModel.load(tmp_path / "run"), TrainedModel)


@pytest.mark.parametrize("given", [None, {"name": "iris"}, "job.toml"])
def test_what_is_no_dataset_is_refused_by_its_type(given):
    with pytest.raises(UsageError, match="a Dataset") as caught:
        QuantumTrainer().fit(given)
    assert caught.value.value == type(given).__name__


def test_a_model_file_to_begin_from_that_does_not_exist(iris, tmp_path):
    with pytest.raises(UsageError, match="no such model file"):
        _trainer(tmp_path).fit(iris, init_from=tmp_path / "no.qsm")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("given", [5, ""])
def test_what_is_no_model_to_begin_from_is_refused(iris, tmp_path, given):
    with pytest.raises(ConfigError, match="begins from a model") as caught:
        _trainer(tmp_path).fit(iris, init_from=given)
    assert caught.value.field == "trainer.init_from"


def test_datasets_and_models_read_in_a_line(iris, tmp_path):
    result = _trainer(tmp_path, epochs=1).fit(iris)
    for each in (iris, result, result.model):
        assert len(repr(each)) < 400
        assert "\n" not in repr(each)
    assert "1 epoch," in repr(result)

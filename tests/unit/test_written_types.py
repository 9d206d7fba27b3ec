"""The TypedDicts of what is written to disk have the keys that are written."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from qstore_ray.data.columns import Column, ColumnDict, TableSchema, TableSchemaDict
from qstore_ray.data.inputs.signature import Signature, SignatureDict
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.errors import ErrorFields, UsageError
from qstore_ray.learn.config import ModelConfig
from qstore_ray.track.config import TrackConfig
from qstore_ray.track.jsonl import read_records
from qstore_ray.track.records import EndRecord, StartRecord, StepRecord
from qstore_ray.train.callbacks.model_checkpoint import KeptModel
from qstore_ray.train.config import TrainerConfig
from qstore_ray.train.run.checkpoint import read_checkpoint
from qstore_ray.train.run.manifest import DataOriginDict, ModelDescription, StoredManifest
from qstore_ray.train.run.same_run import InitFrom, RunDescription
from qstore_ray.train.run.summary import CheckpointSummary, checkpoints
from qstore_ray.train.trainer import QuantumTrainer
from qstore_ray.tune.study import attributes
from qstore_ray.tune.study.result import StudyResult, StudyResultDict
from qstore_ray.tune.study.trial_result import TrialResult, TrialResultDict


def keys(kind):
    return set(kind.__annotations__)


@pytest.mark.parametrize(
    ("written", "made_from"),
    [
        (ColumnDict, Column),
        (TableSchemaDict, TableSchema),
        (SignatureDict, Signature),
        (TrialResultDict, TrialResult),
    ],
)
def test_the_json_form_of_a_dataclass_has_its_fields(written, made_from):
    assert keys(written) == {field.name for field in dataclasses.fields(made_from)}


def test_an_error_has_its_json_fields():
    assert UsageError("no").as_dict().keys() == keys(ErrorFields)


def test_a_study_has_the_keys_of_its_json_form():
    study = StudyResult("s", {"val_loss": "minimize"}, [], [], job={}, space={})
    assert study.to_dict().keys() == keys(StudyResultDict)


def test_every_mark_of_a_trial_has_a_type():
    named = {value for name, value in vars(attributes).items() if name.isupper()}
    of_study = {attributes.RUN_ID, attributes.USED}
    assert {name for name in named if isinstance(name, str)} - of_study == keys(attributes.Marks)


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    """A run that began from the parameters of another one."""
    x, y = np.linspace(0, 1, 24).reshape(12, 2), np.arange(12) % 2
    dataset = DatasetLoader.from_arrays(x, y)
    folder = tmp_path_factory.mktemp("runs")

    def fit(name, **options):
        trainer = QuantumTrainer(
            ModelConfig(n_qubits=2, layers=1),
            TrainerConfig(epochs=1, callbacks=[{"name": "model_checkpoint"}], **options),
            name=name,
            storage=folder,
            track=TrackConfig(mlflow=False, figures=False),
        )
        return trainer.fit(dataset).run_dir

    return fit("second", init_from=str(fit("first")))


def test_run_json_has_typed_keys(run_dir):
    record = json.loads((run_dir / "run.json").read_bytes())
    only_of_some = {"fallbacks", "clients"}  # of a chain, of a federation
    assert record.keys() | only_of_some == keys(RunDescription)
    assert record["init_from"].keys() == keys(InitFrom)


def test_the_records_of_a_run_have_typed_keys(run_dir):
    known = {"start": StartRecord, "step": StepRecord, "end": EndRecord}
    records = read_records(run_dir / "metrics.jsonl")
    assert {"start", "end"} <= {record["event"] for record in records}
    for record in records:
        if record["event"] in known:
            assert record.keys() <= keys(known[record["event"]])


def test_a_checkpoint_has_typed_keys(run_dir):
    (summary,) = checkpoints(run_dir)
    assert summary.keys() == keys(CheckpointSummary)
    manifest = read_checkpoint(run_dir / "checkpoints" / summary["name"]).manifest
    assert manifest.keys() <= keys(StoredManifest)
    model = manifest["model"]
    assert model.keys() <= keys(ModelDescription)
    assert model["data"].keys() == keys(DataOriginDict)
    assert model["input"].keys() == keys(SignatureDict)


def test_a_kept_model_has_typed_keys(run_dir):
    (entry,) = json.loads((run_dir / "models" / "index.json").read_bytes())
    assert entry.keys() == keys(KeptModel)

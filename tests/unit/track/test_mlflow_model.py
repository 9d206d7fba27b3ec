"""Model files in MLflow, on a real sqlite store: what is logged comes back whole, or not at all."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from mlflow.models import Model
from mlflow.tracking import MlflowClient

from qstore_ray.data.columns import Column, TableSchema
from qstore_ray.data.inputs.signature import Signature
from qstore_ray.errors import RunError, UsageError
from qstore_ray.track.config import default_uri
from qstore_ray.track.mlflow.model import download_model, log_model
from qstore_ray.train.model.trained import TrainedModel
from tests.trained_models import N, made, rows

MODEL = made(classes=("a", "b", "c"), steps=[{"name": "standard"}])


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def client(storage: Path) -> MlflowClient:
    uri = default_uri(storage)
    found = MlflowClient(tracking_uri=uri, registry_uri=uri)
    found.create_experiment("any", artifact_location=(storage / "artifacts").as_uri())
    return found


@pytest.fixture
def run_id(client: MlflowClient) -> str:
    experiment = client.get_experiment_by_name("any")
    return client.create_run(experiment.experiment_id).info.run_id


def _log(model, run_id: str, storage: Path):
    return log_model(model, run_id=run_id, tracking_uri=default_uri(storage))


def test_a_logged_model_predicts_the_same(storage: Path, client, run_id: str, tmp_path: Path):
    import mlflow

    logged = _log(MODEL, run_id, storage)
    assert mlflow.active_run() is None
    file = download_model(logged.uri, tmp_path / "new", storage=storage)
    raw = rows(7, N)
    assert TrainedModel.load(file).outputs(raw).tobytes() == MODEL.outputs(raw).tobytes()
    assert file.name == "model.qsm"

    saved = MODEL.save(tmp_path / "mine.qsm")
    assert _log(saved, run_id, storage) == logged, "the same model is there once"
    assert len(client.list_artifacts(run_id, "model")) == 1


def test_the_mlmodel_file_names_our_flavour_alone(storage: Path, client, run_id: str):
    logged = _log(MODEL, run_id, storage)
    path = logged.uri.removeprefix(f"runs:/{run_id}/")
    entry = Model.load(client.download_artifacts(run_id, path))
    data = MODEL.to_bytes()
    assert entry.flavors == {
        "qstore_ray": {
            "data": "model.qsm",
            "sha256": hashlib.sha256(data).hexdigest(),
            "bytes": len(data),
        }
    }
    assert entry.run_id == run_id
    (taken,), (given,) = entry.signature.inputs.inputs, entry.signature.outputs.inputs
    assert (taken.shape, taken.type) == ((-1, N), np.dtype(np.float64))
    assert (given.shape, given.type.kind) == ((-1,), "U")


def test_columns_with_names_are_in_the_signature(storage: Path, client, run_id: str):
    columns = (Column("a"), Column("town", "category", ("Bonn", "Ulm")), Column("b", "boolean"))
    logged = _log(made(signature=Signature(N, TableSchema(columns))), run_id, storage)
    path = logged.uri.removeprefix(f"runs:/{run_id}/")
    taken = Model.load(client.download_artifacts(run_id, path)).signature.inputs
    assert taken.input_names() == ["a", "town", "b"]
    assert [kind.name for kind in taken.input_types()] == ["double", "string", "boolean"]


@pytest.mark.parametrize("classes", [(), (0, 1), (False, True)])
def test_every_kind_of_label_has_a_signature(classes, storage: Path, run_id: str, tmp_path: Path):
    logged = _log(made(classes=classes), run_id, storage)
    assert download_model(logged.uri, tmp_path, storage=storage).is_file()


def test_a_model_that_was_changed_in_the_store_is_refused(storage, client, run_id, tmp_path):
    logged = _log(MODEL, run_id, storage)
    path = logged.uri.removeprefix(f"runs:/{run_id}/")
    made(layers=1).save(tmp_path / "model.qsm")
    client.log_artifact(run_id, str(tmp_path / "model.qsm"), path)
    with pytest.raises(RunError, match="SHA-256 differs") as caught:
        download_model(logged.uri, tmp_path / "new", storage=storage)
    assert (caught.value.field, caught.value.value) == ("uri", logged.uri)
    assert "Log the model again" in caught.value.fix


def test_a_model_of_another_flavour_is_never_loaded(storage, client, run_id, tmp_path):
    entry = Model(artifact_path="model", run_id=run_id, flavors={"python_function": {"x": "evil"}})
    entry.save(str(tmp_path / "MLmodel"))
    client.log_artifact(run_id, str(tmp_path / "MLmodel"), "model/other")
    uri = f"runs:/{run_id}/model/other"
    with pytest.raises(RunError, match="not of the flavour qstore_ray") as caught:
        download_model(uri, tmp_path / "new", storage=storage)
    assert (caught.value.field, caught.value.value) == ("uri", uri)
    with pytest.raises(RunError, match="could not download"):
        download_model(f"runs:/{run_id}/model/{'0' * 64}", tmp_path / "new", storage=storage)


def test_a_version_whose_files_are_elsewhere_is_refused(storage, client, run_id, tmp_path):
    client.create_registered_model("foreign")
    client.create_model_version("foreign", tmp_path.as_uri(), run_id)
    with pytest.raises(RunError, match="not among the artifacts of its run") as caught:
        download_model("models:/foreign/1", tmp_path, storage=storage)
    assert caught.value.value == tmp_path.as_uri()


@pytest.mark.parametrize("uri", ["model.qsm", "models:/digits", "runs:/1", "file:///x", ""])
def test_what_is_no_uri_of_a_model_is_said(uri: str, storage: Path, tmp_path: Path, client):
    with pytest.raises(UsageError) as caught:
        download_model(uri, tmp_path, storage=storage)
    assert (caught.value.field, caught.value.value) == ("uri", uri)
    assert "models:/digits@champion" in caught.value.fix


@pytest.mark.parametrize("uri", ["models:/no@champion", "models:/no/1", f"runs:/no/{64 * '0'}"])
def test_what_is_not_in_the_store_is_an_error_of_ours(uri, storage, tmp_path, client):
    with pytest.raises(RunError, match="could not download the model"):
        download_model(uri, tmp_path, storage=storage)


def test_what_is_no_model_file_is_not_logged(storage, client, run_id, tmp_path):
    (tmp_path / "x.qsm").write_bytes(b"something")
    with pytest.raises(UsageError, match="no model file") as caught:
        _log(tmp_path / "x.qsm", run_id, storage)
    assert caught.value.field == "model"
    with pytest.raises(UsageError, match="cannot read") as caught:
        _log(tmp_path / "no.qsm", run_id, storage)
    assert caught.value.value == str(tmp_path / "no.qsm")
    with pytest.raises(RunError, match="could not log the model"):
        _log(MODEL, "no-such-run", storage)
    assert client.list_artifacts(run_id) == []

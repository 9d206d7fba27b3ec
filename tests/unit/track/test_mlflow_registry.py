"""Models in MLflow's registry: versions of runs, one champion, our own files and no pickle."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from qstore_ray.errors import ConfigError, RunError
from qstore_ray.track.base import RunInfo
from qstore_ray.track.config import TrackConfig, default_uri
from qstore_ray.track.jsonl import MetricsFile
from qstore_ray.track.mlflow.model import download_model
from qstore_ray.track.mlflow.registry import find_model, promote_model, register_model
from qstore_ray.track.sync import sync_run
from qstore_ray.train.model.trained import TrainedModel
from tests.trained_models import made

_number = itertools.count()
MODEL, OTHER = made(layers=1), made(layers=2)


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture
def run_dir(storage: Path) -> Path:
    """A run that MLflow has, with a model file."""
    folder = storage / f"run-{next(_number)}"
    folder.mkdir()
    RunInfo(name=folder.name, run_dir=folder).save()
    with MetricsFile(folder / "metrics.jsonl") as metrics:
        metrics.append({"event": "epoch", "epoch": 0, "step": 1, "train_loss": 1.0})
    MODEL.save(folder / "model.qsm")
    sync_run(folder)
    return folder


def _run_id(run_dir: Path) -> str:
    return (run_dir / "mlflow_run_id").read_text().strip()


def test_a_registered_model_is_the_model_file_of_its_run(storage: Path, run_dir: Path):
    from mlflow.tracking import MlflowClient

    model = register_model(run_dir, "one")
    assert (model.name, model.version, model.aliases) == ("one", 1, ("champion",))
    assert model.run_id == _run_id(run_dir)
    client = MlflowClient(tracking_uri=default_uri(storage))
    root = client.get_run(model.run_id).info.artifact_uri
    path = model.source.removeprefix(f"{root}/")
    listed = client.list_artifacts(model.run_id, path)
    assert [Path(item.path).name for item in listed] == ["MLmodel", "model.qsm"]
    kept = Path(client.download_artifacts(model.run_id, f"{path}/model.qsm"))
    assert kept.read_bytes() == MODEL.to_bytes()
    assert client.get_model_version_download_uri("one", "1") == model.source


def test_a_second_version_takes_the_alias_and_promotion_gives_it_back(
    storage: Path, run_dir: Path, tmp_path: Path
):
    first = register_model(run_dir, "two")
    second = register_model(run_dir, "two", model=OTHER)
    assert (first.version, second.version) == (1, 2)
    assert find_model("two", storage=storage) == second
    file = download_model("models:/two@champion", tmp_path, storage=storage)
    assert TrainedModel.load(file).to_bytes() == OTHER.to_bytes()
    back = promote_model("two", 1, storage=storage)
    assert back.aliases == ("champion",)
    assert find_model("two", storage=storage).version == 1
    file = download_model("models:/two@champion", tmp_path, storage=storage)
    assert TrainedModel.load(file).to_bytes() == MODEL.to_bytes()
    assert promote_model("two", 2, "challenger", storage=storage).aliases == ("challenger",)
    assert find_model("two", storage=storage).version == 1


def test_the_same_model_is_registered_once(storage: Path, run_dir: Path):
    first = register_model(run_dir, "three", alias=None)
    assert first.aliases == ()
    again = register_model(run_dir, "three", alias="champion")
    assert (again.version, again.aliases) == (1, ("champion",))


def test_a_run_that_mlflow_does_not_have_is_named(tmp_path: Path):
    MODEL.save(tmp_path / "model.qsm")
    with pytest.raises(RunError, match="MLflow does not have this run") as caught:
        register_model(tmp_path, "model")
    assert (caught.value.field, caught.value.value) == ("run_dir", str(tmp_path))
    assert "sync_run" in caught.value.fix


def test_a_run_without_a_model_file_is_named(run_dir: Path):
    (run_dir / "model.qsm").unlink()
    with pytest.raises(RunError, match="the model file to register does not exist") as caught:
        register_model(run_dir, "model")
    assert (caught.value.field, caught.value.value) == ("model", str(run_dir / "model.qsm"))
    assert "TrainedModel.save" in caught.value.fix


@pytest.mark.parametrize("name", ["", "  ", "a/b", "models:x", "it's"])
def test_a_name_that_mlflow_does_not_take_is_refused(run_dir: Path, name: str):
    with pytest.raises(ConfigError) as caught:
        register_model(run_dir, name)
    assert (caught.value.field, caught.value.value) == ("name", name)


def test_an_alias_or_version_that_is_not_there_is_an_error(storage: Path, run_dir: Path):
    register_model(run_dir, "four")
    with pytest.raises(RunError, match="could not find the model"):
        find_model("four", "challenger", storage=storage)
    with pytest.raises(RunError, match="could not promote the model"):
        promote_model("four", 7, storage=storage)


def test_a_store_that_is_away_is_an_error_with_its_address(run_dir: Path, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    config = TrackConfig(mlflow_uri="http://127.0.0.1:9")
    with pytest.raises(RunError, match="could not log the model") as caught:
        register_model(run_dir, "five", config=config)
    assert caught.value.value == "http://127.0.0.1:9"

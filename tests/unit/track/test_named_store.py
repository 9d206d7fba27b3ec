"""MLFLOW_TRACKING_URI and MLFLOW_EXPERIMENT_NAME, wherever the package opens MLflow.

Training, searches, sync, registry and `qstore ui` use the store that they name, and none beside the
run folders. What a configuration names itself takes precedence. All on real sqlite stores.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from qstore_ray.cli.app import main
from qstore_ray.cli.tune.end import as_facts
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.job import JobConfig
from qstore_ray.track.base import RunInfo
from qstore_ray.track.config import TrackConfig, sqlite_uri
from qstore_ray.track.jsonl import MetricsFile
from qstore_ray.track.mlflow.model import download_model
from qstore_ray.track.mlflow.registry import find_model, promote_model, register_model
from qstore_ray.track.sync import sync_run
from qstore_ray.tune.dashboards.pages import find_study, mlflow_page
from qstore_ray.tune.driver.finalize import _track
from qstore_ray.tune.driver.tracking import SearchTracking
from qstore_ray.tune.study.result import read_result
from tests.small_search import TABLE, config_of, plan_of, study_of
from tests.trained_models import made

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

_number = itertools.count()
MODEL = made(layers=1)
JOB = """
name = "iris"
[dataset]
name = "iris"
params = { dataset = "iris" }
preprocessing = [{ name = "minmax" }]
[model]
layers = 1
[trainer]
epochs = 1
[track]
figures = false
"""


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One store for the module; MLflow needs seconds for its tables."""
    return sqlite_uri(tmp_path_factory.mktemp("company") / "all runs.db")


@pytest.fixture
def experiment(uri: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The store and an experiment of its own, as the environment names them."""
    name = f"flowers-{next(_number)}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", name)
    return name


@pytest.fixture
def client(uri: str) -> MlflowClient:
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=uri)


def _runs(client: MlflowClient, experiment: str) -> list[Run]:
    found = client.get_experiment_by_name(experiment)
    return list(client.search_runs([found.experiment_id])) if found else []


def _run_folder(storage: Path, name: str = "run") -> Path:
    folder = storage / name
    folder.mkdir(parents=True)
    RunInfo(name=name, run_dir=folder).save()
    with MetricsFile(folder / "metrics.jsonl") as metrics:
        metrics.append({"event": "epoch", "epoch": 0, "step": 1, "train_loss": 1.0})
    MODEL.save(folder / "model.qsm")
    return folder


def test_the_end_line_of_a_training_names_store_and_experiment(
    tmp_path: Path, monkeypatch, capfd, uri: str, experiment: str, client
):
    (tmp_path / "iris.toml").write_text(JOB, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert main(["train", "iris.toml", "--quiet"]) == 0
    _, found, line = capfd.readouterr().out.partition("\nmlflow")
    assert found
    # A line is wrapped if the temporary folder has a long name.
    assert " ".join(line.split()) == f"{uri}, experiment {experiment!r}"
    assert [run.info.run_name for run in _runs(client, experiment)] == ["iris"]
    assert not list(tmp_path.rglob("mlflow.db"))


def test_a_run_that_mlflow_does_not_have_has_no_such_line(tmp_path: Path, capfd, experiment: str):
    (tmp_path / "iris.toml").write_text(JOB, encoding="utf-8")
    own = ["--storage", str(tmp_path / "runs"), "--set", "track.mlflow=false"]
    assert main(["train", str(tmp_path / "iris.toml"), "--quiet", *own]) == 0
    assert "\nmlflow" not in capfd.readouterr().out


def test_a_search_its_trials_and_its_final_training_are_in_the_named_store(
    tmp_path: Path, uri: str, experiment: str, client
):
    job = JobConfig.from_dict({**TABLE, "storage": str(tmp_path), "track": {"figures": False}})
    search = config_of()
    dataset = DatasetLoader.load(job.dataset)
    study_of(job, search, dataset).close()
    folder = tmp_path / job.name
    tracking = SearchTracking(
        folder, job.track, name=job.name, job_config=job.to_dict(), fingerprints={}
    )
    tracking.start(False)
    trial = folder / "trial-0000"
    tracking.begin(0, trial, {"model.layers": 1}, job.to_dict())
    with MetricsFile(trial / "metrics.jsonl") as metrics:
        metrics.append({"event": "epoch", "epoch": 0, "step": 1, "val_accuracy": 0.5})
    tracking.end(0, "finished")
    assert tracking.close("finished") == []
    assert {run.info.run_name for run in _runs(client, experiment)} == {"s", "trial-0000"}
    assert find_study("s", tmp_path).track.mlflow_uri is None
    assert _track(plan_of(job, search, dataset)).mlflow_uri == uri
    shown = dict(as_facts(read_result(tmp_path, "s"), job))
    assert shown["mlflow"] == f"{uri}, experiment {experiment!r}"
    assert not list(tmp_path.rglob("mlflow.db"))


def test_a_later_copy_goes_to_the_named_store(tmp_path: Path, experiment: str, client):
    sync_run(_run_folder(tmp_path, "later"))
    assert [run.info.run_name for run in _runs(client, experiment)] == ["later"]
    assert not list(tmp_path.rglob("mlflow.db"))


def test_the_registry_is_that_of_the_named_store(tmp_path: Path, experiment: str, client):
    folder = _run_folder(tmp_path)
    sync_run(folder)
    name = f"model-{experiment}"
    assert register_model(folder, name).version == 1
    assert client.get_model_version_by_alias(name, "champion").version in {1, "1"}
    assert promote_model(name, 1, "challenger", storage=tmp_path).version == 1
    assert find_model(name, "challenger", storage=tmp_path).name == name
    file = download_model(f"models:/{name}@champion", tmp_path / "got", storage=tmp_path)
    assert file.read_bytes() == MODEL.to_bytes()
    assert not list(tmp_path.rglob("mlflow.db"))


def test_what_a_configuration_names_takes_precedence(tmp_path: Path, experiment: str, client):
    from mlflow.tracking import MlflowClient

    own = TrackConfig(mlflow_uri=sqlite_uri(tmp_path / "own.db"), experiment="mine")
    folder = _run_folder(tmp_path / "runs")
    sync_run(folder, own)
    assert register_model(folder, "own-model", config=own).version == 1
    assert find_model("own-model", config=own).version == 1
    assert _runs(client, experiment) == []
    assert [r.info.run_name for r in _runs(MlflowClient(own.mlflow_uri), "mine")] == ["run"]


def test_the_page_shows_the_named_store(tmp_path: Path, uri: str, experiment: str):
    page = mlflow_page(tmp_path)
    assert page.environment["MLFLOW_BACKEND_STORE_URI"] == uri
    own = sqlite_uri(tmp_path / "own.db")
    (tmp_path / "own.db").touch()
    assert mlflow_page(tmp_path, own).environment["MLFLOW_BACKEND_STORE_URI"] == own

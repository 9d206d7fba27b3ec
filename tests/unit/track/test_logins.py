"""A login in the address of MLflow is in no byte that a run leaves, and the run is recorded."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

from qstore_ray.cli.app import main
from tests.mlflow_server import mlflow_server

PLANTED = "hunter2-planted"
JOB = """
name = "iris"
storage = "runs"
baseline = false
[dataset]
name = "iris"
params = { dataset = "iris" }
preprocessing = [{ name = "minmax" }]
[model]
layers = 1
[trainer]
epochs = 2
schedule = "constant"
"""


def _texts(folder: Path) -> list[Path]:
    return [p for p in folder.rglob("*") if p.is_file() and PLANTED.encode() in p.read_bytes()]


def test_a_login_is_used_and_nowhere_written(tmp_path, repository, monkeypatch, capfd):
    (tmp_path / "iris.toml").write_text(JOB, encoding="utf-8")
    (tmp_path / "server").mkdir()
    with mlflow_server(tmp_path / "server") as address:
        login = address.replace("://", f"://ann:{PLANTED}@")
        command = [
            sys.executable, "-m", "qstore_ray", "train", "iris.toml", "--json",
            "--set", f"track.mlflow_uri={login}",
        ]  # fmt: skip
        environment = {**os.environ, "PYTHONPATH": str(repository)}
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, check=False, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        assert PLANTED not in done.stdout + done.stderr
        run = tmp_path / "runs" / "iris"
        assert (run / "mlflow_run_id").is_file(), done.stderr
        assert address in (run / "config.toml").read_text()
        assert _texts(tmp_path) == []
        # Later, the login comes from the environment.
        monkeypatch.setenv("MLFLOW_TRACKING_URI", login)
        monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "elsewhere")
        monkeypatch.chdir(tmp_path)
        assert main(["runs", "sync", "iris"]) == 0
        again = ["train", "iris.toml", "--set", "trainer.epochs=3"]
        assert main([*again, "--resume"]) == 0
        said = capfd.readouterr()
    assert PLANTED not in said.out + said.err
    assert f"recorded in MLflow at {address}, experiment 'elsewhere'" in said.err
    assert _texts(tmp_path) == []


def test_a_store_that_the_environment_names_is_used(tmp_path, monkeypatch, capfd):
    (tmp_path / "iris.toml").write_text(JOB, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a?b%20#").mkdir()
    from mlflow.tracking import MlflowClient

    from qstore_ray.track.config import sqlite_uri

    uri = sqlite_uri(tmp_path / "a?b%20#" / "named.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "flowers")
    assert main(["train", "iris.toml", "--quiet"]) == 0
    assert "experiment 'flowers', as MLFLOW_TRACKING_URI and MLFLOW_EXPERIMENT_NAME say\n" in (
        capfd.readouterr().err
    )
    assert not (tmp_path / "runs" / "mlflow.db").exists()
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("flowers")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.data.params["trainer.epochs"] == "2"
    assert run.info.user_id != "unknown"
    # What the job says itself wins, and the default's path is escaped.
    own = ["--storage", "b?c%20#d ü", "--set", "track.experiment=mine", "--quiet"]
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert main(["train", "iris.toml", *own]) == 0
    storage = tmp_path / "b?c%20#d ü"
    assert (storage / "mlflow.db").is_file()
    here = MlflowClient(sqlite_uri(storage / "mlflow.db"))
    assert here.get_experiment_by_name("mine") is not None
    assert here.get_experiment_by_name("flowers") is None


def test_a_store_that_does_not_answer_is_not_said_to_have_the_run(tmp_path, monkeypatch, capfd):
    (tmp_path / "iris.toml").write_text(JOB, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with socket.socket() as taken:  # bound, but nobody listens
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{taken.getsockname()[1]}")
        assert main(["train", "iris.toml", "--quiet"]) == 0
    said = capfd.readouterr().err
    assert "could not open the run" in said
    assert "recorded in MLflow" not in said

"""A whole run while its trackers are away, and afterwards all of it from the run folder alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from qstore_ray.errors import RunError
from qstore_ray.track.base import Outcome, RunInfo
from qstore_ray.track.config import TrackConfig
from qstore_ray.track.event_files import read_events
from qstore_ray.track.follow import Follower, open_trackers
from qstore_ray.track.jsonl import MetricsFile
from qstore_ray.track.mlflow.registry import find_model, register_model
from qstore_ray.track.sync import sync_run
from tests.mlflow_server import free_port, mlflow_server
from tests.trained_models import made
from tests.wandb_log import look_at_wandb_log

START = {"event": "start", "generation": 1, "workers": 2}
LOSSES = [(0, 2.0), (1, 1.0), (2, 0.5)]


@pytest.fixture
def run_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    folder = tmp_path / "runs" / "digits"
    folder.mkdir(parents=True)
    return folder


def _train(run_dir: Path, config: TrackConfig) -> Follower:
    """A run as the trainer has it: followed from its first record to its last."""
    run = RunInfo(name="digits", run_dir=run_dir, config={"trainer": {"epochs": 3}})
    follower = Follower(run, open_trackers(config), retry_seconds=0.0)
    follower.start()
    with MetricsFile(run.metrics_path) as metrics:
        metrics.append(START)
        for epoch, loss in LOSSES:
            step = 5 * (epoch + 1)
            metrics.append({"event": "epoch", "epoch": epoch, "step": step, "train_loss": loss})
        metrics.append({"event": "end", "status": "finished"})
    (run_dir / "config.toml").write_text("name = 'digits'\n")
    follower.failures = follower.stop("finished", {"accuracy": 0.75}, [run_dir / "config.toml"])
    return follower


@pytest.mark.timeout(400)  # a server is started, and makes its database
def test_a_server_that_was_down_for_the_whole_run_has_all_of_it_later(tmp_path: Path, run_dir):
    from mlflow.tracking import MlflowClient

    port = free_port()  # held, so that nobody else takes it; nobody listens
    config = TrackConfig(mlflow_uri=f"http://127.0.0.1:{port}", tensorboard=True)
    follower = _train(run_dir, config)
    assert follower.incomplete == ["mlflow"]
    assert {name for name, _ in follower.failures} == {"mlflow"}
    with pytest.raises(RunError, match="mlflow: MLflow could not open the run") as caught:
        sync_run(run_dir, config)
    assert caught.value.field == "track.mlflow_uri"
    assert "Call it again" in caught.value.fix

    with mlflow_server(tmp_path, port) as uri:
        client = MlflowClient(tracking_uri=uri)
        for _ in range(2):
            assert sync_run(run_dir, config) == ["mlflow", "tensorboard"]
            run = client.get_run((run_dir / "mlflow_run_id").read_text().strip())
            history = client.get_metric_history(run.info.run_id, "train_loss")
            assert sorted((point.step, point.value) for point in history) == LOSSES
            assert run.info.status == "FINISHED"
            assert run.data.metrics["summary.accuracy"] == 0.75
            assert [a.path for a in client.list_artifacts(run.info.run_id)] == ["config.toml"]
        made().save(run_dir / "model.qsm")
        registered = register_model(run_dir, "digits", config=config)
        assert find_model("digits", config=config) == registered
        assert registered.run_id == run.info.run_id


def test_a_store_that_cannot_be_written_has_all_of_it_later(run_dir: Path):
    """A folder stands where the sqlite file belongs; permissions would not stop root."""
    from mlflow.tracking import MlflowClient

    store = run_dir.parent / "mlflow.db"
    store.mkdir()
    assert _train(run_dir, TrackConfig()).incomplete == ["mlflow"]
    store.rmdir()
    assert sync_run(run_dir) == ["mlflow"]
    client = MlflowClient(tracking_uri=f"sqlite:///{store}")
    run = client.get_run((run_dir / "mlflow_run_id").read_text().strip())
    history = client.get_metric_history(run.info.run_id, "train_loss")
    assert sorted((point.step, point.value) for point in history) == LOSSES


def test_trackers_that_were_switched_on_later_get_the_whole_run(run_dir: Path):
    assert _train(run_dir, TrackConfig(mlflow=False)).failures == []
    config = TrackConfig(mlflow=False, tensorboard=True, wandb="offline")
    for _ in range(2):
        assert sync_run(run_dir, config) == ["tensorboard", "wandb"]
    assert look_at_wandb_log(run_dir).points["train_loss"] == LOSSES
    found = [
        (event.step, value.simple_value)
        for path in (run_dir / "tensorboard").iterdir()
        for event in read_events(path)
        for value in event.summary.value
        if value.tag == "train_loss"
    ]
    assert found == LOSSES


def test_one_tracker_that_fails_does_not_keep_the_others(run_dir: Path):
    config = TrackConfig(mlflow=False, tensorboard=True, wandb="offline")
    _train(run_dir, TrackConfig(mlflow=False))
    (run_dir / "tensorboard").write_text("in the way")
    with pytest.raises(RunError, match=r"tensorboard: .*could not open the run"):
        sync_run(run_dir, config)
    assert look_at_wandb_log(run_dir).points["train_loss"] == LOSSES


def test_a_folder_that_is_no_run_is_an_error(tmp_path: Path):
    with pytest.raises(RunError) as caught:
        sync_run(tmp_path)
    assert caught.value.field == "run_dir"


def test_a_copy_of_a_run_folder_leaves_the_run_of_its_original_alone(tmp_path: Path, run_dir: Path):
    config = TrackConfig(mlflow_uri=f"sqlite:///{tmp_path / 'store.db'}", experiment="e")
    assert _train(run_dir, config).incomplete == []
    copy = run_dir.with_name("copy")
    shutil.copytree(run_dir, copy)
    with pytest.raises(RunError, match="only its original"):
        register_model(copy, "copied", model=made(), config=config)
    assert sync_run(copy, config) == ["mlflow"]
    first, second = ((folder / "mlflow_run_id").read_text() for folder in (run_dir, copy))
    assert first != second
    run_dir.rename(moved := run_dir.with_name("moved"))
    sync_run(moved, config)
    assert (moved / "mlflow_run_id").read_text() == first


def test_the_files_of_a_run_are_found_again_after_it_was_moved(run_dir: Path):
    (run_dir / "config.toml").touch()
    RunInfo(name="r", run_dir=run_dir).save(
        Outcome(status="finished", artifacts=[run_dir / "config.toml"])
    )
    run_dir.rename(moved := run_dir.with_name("moved"))
    outcome = RunInfo.load(moved)[1]
    assert outcome is not None
    assert outcome.artifacts == [moved / "config.toml"]

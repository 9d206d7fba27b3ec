"""A search in MLflow: the study a run, each trial a run under it, on a real sqlite store."""

from __future__ import annotations

import itertools
import shutil
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from qstore_ray.errors import CheckpointError, RunError
from qstore_ray.track.base import RunInfo
from qstore_ray.track.config import TrackConfig, default_uri
from qstore_ray.track.jsonl import MetricsFile, epoch_records, read_records
from qstore_ray.track.mlflow.model import download_model
from qstore_ray.track.mlflow.tracker import MLflowTracker
from qstore_ray.track.sync import sync_run
from qstore_ray.train.model.trained import TrainedModel
from qstore_ray.train.run.checkpoint import write_checkpoint
from qstore_ray.train.run.run_folder import check_run
from qstore_ray.tune.driver.tracking import SearchTracking, register_best
from tests.trained_models import made, rows

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

JOB = {
    "name": "digits-tune",
    "storage": "runs",
    "model": {"layers": 2},
    "trainer": {"learning_rate": 0.1},
    "tune": {"space": {"model.layers": {"type": "int", "low": 1, "high": 8}}, "trials": 3},
}
_number = itertools.count()


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of run folders, with a store that is made once: it takes seconds."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "first").mkdir()
    tracker = MLflowTracker(TrackConfig())
    tracker.start(RunInfo(name="first", run_dir=folder / "first"))
    tracker.finish("finished", {}, [])
    return folder


@pytest.fixture
def client(storage: Path) -> MlflowClient:
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=default_uri(storage))


@pytest.fixture
def folder(storage: Path) -> Path:
    path = storage / f"study-{next(_number)}"
    path.mkdir()
    return path


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> Iterator[TrackConfig]:
    """A server that refuses connections for as long as the test runs."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield TrackConfig(mlflow_uri=f"http://127.0.0.1:{bound.getsockname()[1]}")


def _tracking(folder: Path, config: TrackConfig | None = None, *, resumed: bool = False):
    made_of = {"data": "ab" * 32, "configuration": "cd" * 32}
    tracking = SearchTracking(
        folder, config or TrackConfig(), name=folder.name, job_config=JOB, fingerprints=made_of
    )
    tracking.start(resumed)
    return tracking


def _begin(tracking: SearchTracking, folder: Path, number: int, run: str = "") -> Path:
    run_dir = folder / (run or f"trial-{number:04d}")
    values = {"model.layers": number + 1, "trainer.learning_rate": 0.1}
    tracking.begin(number, run_dir, values, {**JOB, "model": {"layers": number + 1}})
    return run_dir


def _train(run_dir: Path, epochs: range = range(3), accuracy: float = 0.5) -> None:
    run_dir.mkdir(exist_ok=True)
    with MetricsFile(run_dir / "metrics.jsonl") as metrics:
        metrics.append({"event": "start", "generation": 1 + epochs.start})
        for epoch in epochs:
            metrics.append({"event": "epoch", "epoch": epoch, "step": epoch, "acc": accuracy})


def _record(value: float, best: float) -> dict[str, float]:
    return {"value": value, "best_value": best, "val_accuracy": value}


def _run(client: MlflowClient, run_dir: Path) -> Run:
    return client.get_run((run_dir / "mlflow_run_id").read_text().strip())


def _points(client: MlflowClient, run_dir: Path, key: str) -> list[tuple[int, float]]:
    history = client.get_metric_history(_run(client, run_dir).info.run_id, key)
    return sorted((point.step, point.value) for point in history)


def _children(client: MlflowClient, folder: Path) -> dict[str, Run]:
    study = _run(client, folder)
    found = client.search_runs(
        [study.info.experiment_id], f"tags.`mlflow.parentRunId` = '{study.info.run_id}'"
    )
    assert len({run.info.run_name for run in found}) == len(found)
    return {run.info.run_name: run for run in found}


def test_trials_are_runs_under_their_study(client: MlflowClient, folder: Path):
    tracking = _tracking(folder)
    first, second, third = (_begin(tracking, folder, number) for number in range(3))
    _train(first, accuracy=0.6)
    _train(third, accuracy=0.7)
    tracking.end(2, "finished", {"val_accuracy": 0.7}, _record(0.7, 0.7))
    tracking.end(0, "finished", {"outcome": "pruned"}, _record(0.6, 0.7))
    tracking.end(1, "failed", {"error": "out of memory"}, {"best_value": 0.7})
    (folder / "best.toml").write_text("name = 'best'\n")
    assert tracking.close("finished", {"best": 2}, [folder / "best.toml"]) == []
    assert tracking.incomplete == []

    study = _run(client, folder)
    assert (study.info.run_name, study.info.status) == (folder.name, "FINISHED")
    assert study.data.params["tune.trials"] == "3"
    assert study.data.tags["fingerprint.configuration"] == "cd" * 32
    assert study.data.metrics["summary.best"] == 2
    assert [a.path for a in client.list_artifacts(study.info.run_id)] == ["best.toml"]
    assert _points(client, folder, "best_value") == [(0, 0.7), (1, 0.7), (2, 0.7)]
    assert _points(client, folder, "value") == [(0, 0.7), (1, 0.6)]
    assert _points(client, folder, "trial") == [(0, 2), (1, 0), (2, 1)]

    trials = _children(client, folder)
    statuses = {name: run.info.status for name, run in trials.items()}
    assert statuses == {"trial-0000": "FINISHED", "trial-0001": "FAILED", "trial-0002": "FINISHED"}
    params = trials["trial-0001"].data.params
    assert params == {
        "trial.model.layers": "2", "trial.trainer.learning_rate": "0.1", "model.layers": "2",
        "trainer.learning_rate": "0.1",
    }  # fmt: skip
    tags = trials["trial-0001"].data.tags
    assert (tags["trial"], tags["study"]) == ("1", folder.name)
    assert tags["summary.error"] == "out of memory"
    assert _points(client, third, "acc") == [(0, 0.7), (1, 0.7), (2, 0.7)]
    assert _points(client, second, "acc") == []


def test_a_resumed_search_goes_on_in_the_same_runs(client: MlflowClient, folder: Path):
    tracking = _tracking(folder)
    _train(_begin(tracking, folder, 0))
    tracking.end(0, "finished", {}, _record(0.4, 0.4))
    _train(_begin(tracking, folder, 1), range(2))
    assert tracking.close("interrupted") == []
    before = {name: run.info.run_id for name, run in _children(client, folder).items()}
    assert _run(client, folder).info.status == "KILLED"
    assert _children(client, folder)["trial-0001"].info.status == "KILLED"
    with (folder / "metrics.jsonl").open("a") as torn:
        torn.write('{"event":"epo')  # killed while it wrote

    tracking = _tracking(folder, resumed=True)
    assert tracking.recorded == {0}
    tracking.end(0, "finished", {}, _record(0.4, 0.4))  # told again: nothing
    again = _begin(tracking, folder, 2, run="trial-0001")
    _train(again, range(2, 4), accuracy=0.9)
    tracking.end(2, "finished", {}, _record(0.9, 0.9))
    assert tracking.close("finished") == []
    trials = _children(client, folder)
    assert {name: run.info.run_id for name, run in trials.items()} == before
    assert trials["trial-0001"].info.status == "FINISHED"
    assert trials["trial-0001"].data.tags["trial"] == "2"
    assert _points(client, again, "acc") == [(0, 0.5), (1, 0.5), (2, 0.9), (3, 0.9)]
    assert _points(client, folder, "best_value") == [(0, 0.4), (1, 0.9)]
    records = epoch_records(read_records(folder / "metrics.jsonl"))
    assert [(r["epoch"], r["trial"], r["status"]) for r in records] == [
        (0, 0, "finished"), (1, 2, "finished")
    ]  # fmt: skip


def test_a_fresh_search_of_the_same_name_is_another_run(client: MlflowClient, folder: Path):
    assert _tracking(folder).close("finished") == []
    before = _run(client, folder).info.run_id
    tracking = _tracking(folder)
    assert tracking.recorded == set()
    assert tracking.close("finished") == []
    assert _run(client, folder).info.run_id != before


def test_a_trial_of_several_trainings_is_one_run_of_their_means(client, folder: Path):
    tracking = _tracking(folder)
    run_dir = _begin(tracking, folder, 0)
    for seed, accuracy in ((3, 0.5), (4, 0.75)):
        _train(run_dir / f"fold-0-seed-{seed}", range(seed - 1), accuracy)
    tracking.end(0, "finished", {}, _record(0.625, 0.625))
    assert tracking.close("finished") == []
    assert _points(client, run_dir, "acc") == [(0, 0.625), (1, 0.625)]
    assert list(_children(client, folder)) == ["trial-0000"]


def test_a_followed_trial_can_begin_in_its_folder(folder: Path):
    tracking = _tracking(folder)
    run_dir = _begin(tracking, folder, 0)
    (run_dir / ".mlflow_run_id.1.part").write_text("half")
    assert check_run(folder, run_dir.name) == run_dir
    tracking.close("interrupted")


# ------------------------------------------------------------------------ while the store is away


def test_of_a_server_that_is_away_all_is_there_later(
    client: MlflowClient, folder: Path, away: TrackConfig, capsys
):
    tracking = _tracking(folder, away)
    for number in range(6):
        _train(_begin(tracking, folder, number))
        tracking.end(number, "finished", {"acc": 0.5}, _record(0.5, 0.5))
    failures = tracking.close("finished", {"best": 0})
    assert {type(error) for _, error in failures} == {RunError}
    assert tracking.incomplete == [str(folder)]
    said = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
    assert len(said) == 2, said  # once for the study, once for all its trials
    assert not (folder / "mlflow_run_id").exists()

    for _ in range(2):  # the second time changes nothing
        assert sync_run(folder, TrackConfig()) == ["mlflow"]
        assert _points(client, folder, "value") == [(place, 0.5) for place in range(6)]
        trials = _children(client, folder)
        assert sorted(trials) == [f"trial-{number:04d}" for number in range(6)]
        assert {run.info.status for run in trials.values()} == {"FINISHED"}
        for run in trials.values():  # as it was, not when MLflow heard of it
            assert 0 <= run.info.end_time - run.info.start_time < 2000
        assert _points(client, folder / "trial-0005", "acc") == [(e, 0.5) for e in range(3)]


def test_trials_do_not_wait_for_a_server_that_does_not_answer(folder: Path, monkeypatch):
    """It answers none until all of them have ended, and MLflow would wait longer than any test."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "3600")
    with socket.create_server(("127.0.0.1", 0)) as server:
        uri = f"http://127.0.0.1:{server.getsockname()[1]}"
        tracking = _tracking(folder, TrackConfig(mlflow_uri=uri))
        for number in range(3):
            _train(_begin(tracking, folder, number))
            tracking.end(number, "finished", {"acc": 0.5}, _record(0.5, 0.5))
    # With the server its connections are closed, and what was asked of it fails.
    assert {type(error) for _, error in tracking.close("interrupted")} == {RunError}


@pytest.fixture
def silent() -> Iterator[TrackConfig]:
    """A server that takes every connection and answers none, until the test has ended."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield TrackConfig(mlflow_uri=f"http://127.0.0.1:{server.getsockname()[1]}")


def test_a_search_stopped_while_it_waits_for_a_tracker_is_complete_after_a_sync(
    client: MlflowClient, storage: Path, folder: Path, silent: TrackConfig, monkeypatch
):
    """The folder is looked at while `close` waits, as a driver that is killed then leaves it."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "3")
    tracking = _tracking(folder, silent)
    for number in range(3):
        run_dir = _begin(tracking, folder, number)
        _train(run_dir / "seed-0")
        _train(run_dir / "seed-1", accuracy=0.7)
        tracking.end(number, "finished", {"val_accuracy": 0.6}, _record(0.6, 0.6))
    last = _begin(tracking, folder, 3)
    left = storage / f"{folder.name}-left"
    with ThreadPoolExecutor(1) as pool:
        closing = pool.submit(tracking.close, "finished", {"best_trial": 0})
        while RunInfo.load(folder)[1] is None:
            time.sleep(0.01)
        assert not closing.done()
        shutil.copytree(folder, left)
    assert {name for name, _ in closing.result()} == {"mlflow"}

    assert sync_run(left, TrackConfig()) == ["mlflow"]
    study = _run(client, left)
    assert (study.info.status, study.data.metrics["summary.best_trial"]) == ("FINISHED", 0)
    assert len(_points(client, left, "value")) == 3
    trials = _children(client, left)
    statuses = {name: run.info.status for name, run in trials.items()}
    finished = {f"trial-{number:04d}": "FINISHED" for number in range(3)}
    assert statuses == {**finished, last.name: "KILLED"}
    for name in finished:
        assert _points(client, left / name, "acc") == [(epoch, 0.6) for epoch in range(3)]
        assert trials[name].data.metrics["summary.val_accuracy"] == 0.6


def test_means_of_an_interrupted_trial_are_completed_when_it_ends(folder: Path):
    """An earlier version wrote those of the epochs that there were when it was interrupted."""
    tracking = _tracking(folder, TrackConfig(mlflow=False))
    run_dir = _begin(tracking, folder, 0)
    for part in ("seed-0", "seed-1"):
        _train(run_dir / part)
    _train(run_dir, range(1))
    tracking.end(0, "finished", {}, _record(0.5, 0.5))
    tracking.close("finished")
    records = epoch_records(read_records(run_dir / "metrics.jsonl"))
    assert [(record["epoch"], record["acc"]) for record in records] == [(e, 0.5) for e in range(3)]


def test_what_a_store_missed_is_made_up_for_at_the_end(client: MlflowClient, folder: Path):
    """A folder stands where the file of the trial's MLflow id belongs, until the search ends."""
    tracking = _tracking(folder)
    run_dir = folder / "trial-0000"
    (run_dir / "mlflow_run_id").mkdir(parents=True)
    _train(_begin(tracking, folder, 0))
    tracking.end(0, "finished", {}, _record(0.5, 0.5))
    tracking._stopper.shutdown()
    (run_dir / "mlflow_run_id").rmdir()
    failures = tracking.close("finished")
    assert failures
    assert tracking.incomplete == []
    assert _children(client, folder)["trial-0000"].info.status == "FINISHED"


def test_a_trial_alone_cannot_be_synced_before_its_study(folder: Path, away: TrackConfig):
    tracking = _tracking(folder, away)
    run_dir = _begin(tracking, folder, 0)
    tracking.end(0, "finished", {}, _record(0.5, 0.5))
    tracking.close("finished")
    with pytest.raises(RunError, match="does not have the run that this one is part of") as caught:
        sync_run(run_dir, TrackConfig())
    assert caught.value.value == str(folder)


def test_a_number_that_is_not_finite_is_named(folder: Path):
    tracking = _tracking(folder, TrackConfig(mlflow=False))
    with pytest.raises(RunError, match="NaN or infinite") as caught:
        tracking.end(0, "finished", {}, {"value": float("nan")})
    assert caught.value.field == "value"
    tracking.close("failed")


# --------------------------------------------------------------------------------- the best model


def _checkpoint(run_dir: Path, model: TrainedModel) -> None:
    arrays = {f"preparation.{k}": v for k, v in model.preparation.to_arrays().items()}
    manifest = {"model": model.about, "epoch": 1, "generation": 1}
    write_checkpoint(run_dir / "checkpoints", 1, {"theta": model.theta, **arrays}, manifest)


@pytest.mark.parametrize("part", ["", "/fold-0-seed-3"])
def test_the_registered_champion_predicts_as_the_trials_model(
    storage: Path, folder: Path, tmp_path: Path, part: str
):
    tracking = _tracking(folder)
    run_dir = _begin(tracking, folder, 0)
    _checkpoint(folder / f"trial-0000{part}", made(layers=3))
    tracking.end(0, "finished", {}, _record(0.9, 0.9))
    assert tracking.close("finished") == []
    registered = register_best(folder, f"trial-0000{part}", folder.name)
    assert registered.aliases == ("champion",)
    assert registered.run_id == (run_dir / "mlflow_run_id").read_text().strip()
    uri = f"models:/{folder.name}@champion"
    loaded = TrainedModel.load(download_model(uri, tmp_path, storage=storage))
    own = TrainedModel.load(folder / f"trial-0000{part}")
    raw = rows(20, 3, seed=5)
    assert np.array_equal(loaded.predict_proba(raw), own.predict_proba(raw))


def test_a_trial_without_a_checkpoint_has_no_model(folder: Path):
    (folder / "trial-0000").mkdir()
    with pytest.raises(CheckpointError):
        register_best(folder, "trial-0000", "none")

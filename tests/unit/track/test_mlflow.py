"""MLflow on a real sqlite store: what is in it afterwards, and what happens while it is away."""

from __future__ import annotations

import itertools
import logging
import os
import socket
import sqlite3
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from qstore_ray.errors import MissingDependencyError, RunError
from qstore_ray.track.base import RunInfo
from qstore_ray.track.config import TrackConfig, default_uri
from qstore_ray.track.follow import Follower
from qstore_ray.track.jsonl import MetricsFile
from qstore_ray.track.mlflow.store import open_client
from qstore_ray.track.mlflow.tracker import MLflowTracker
from qstore_ray.track.sync import sync_run

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

PLANTED = "hunter2-planted"
START = {
    "event": "start", "generation": 1, "workers": 2, "rows": 1168, "parameters": 500,
    "resumed_from_step": 0,
}  # fmt: skip
_number = itertools.count()


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of run folders, with a store that is made once: it takes seconds."""
    folder = tmp_path_factory.mktemp("runs with späces")
    run_dir = folder / "first"
    run_dir.mkdir()
    tracker = MLflowTracker(TrackConfig())
    tracker.start(RunInfo(name="first", run_dir=run_dir))
    tracker.finish("finished", {}, [])
    return folder


@pytest.fixture
def client(storage: Path) -> MlflowClient:
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=default_uri(storage))


@pytest.fixture
def run_dir(storage: Path) -> Path:
    folder = storage / f"run-{next(_number)}"
    folder.mkdir()
    return folder


def _epoch(epoch: int, **more: object) -> dict[str, object]:
    return {
        "event": "epoch", "epoch": epoch, "step": 5 * (epoch + 1), "samples": 1168 * (epoch + 1),
        "train_loss": 2.0 / (epoch + 1), "val_accuracy": 0.5, "seconds": 0.1 * epoch, **more,
    }  # fmt: skip


def _write(run_dir: Path, *records: dict[str, object]) -> None:
    with MetricsFile(run_dir / "metrics.jsonl") as metrics:
        for record in records:
            metrics.append(record)


def _found(client: MlflowClient, run_dir: Path) -> Run:
    return client.get_run((run_dir / "mlflow_run_id").read_text().strip())


def _points(client: MlflowClient, run_dir: Path, key: str) -> list[tuple[int, float]]:
    run = _found(client, run_dir)
    return [(p.step, p.value) for p in client.get_metric_history(run.info.run_id, key)]


@contextmanager
def _failing(storage: Path, table: str, action: str) -> Iterator[None]:
    """The store refuses to do that to that table, from within the database."""
    with closing(sqlite3.connect(storage / "mlflow.db")) as database:
        database.execute(
            f"CREATE TRIGGER away BEFORE {action} ON {table} BEGIN "
            "SELECT RAISE(ABORT, 'the store is away'); END"
        )
        try:
            yield
        finally:
            database.execute("DROP TRIGGER away")


def test_a_run_is_in_the_store_with_everything(client: MlflowClient, run_dir: Path):
    _write(run_dir, START, _epoch(0), _epoch(1))
    figure = run_dir / "figures" / "loss.png"
    figure.parent.mkdir()
    figure.write_bytes(b"a picture")
    run = RunInfo(
        name="digits",
        run_dir=run_dir,
        config={
            "model": {"circuit": "hea", "qubits": 8, "options": {"layers": 3}},
            "dataset": {"classes": [3, 5], "limit": None, "text": "x" * 7000},
        },
        fingerprints={"data": "ab" * 32},
        tags={"sweep": "s1"},
    )
    tracker = MLflowTracker(TrackConfig(tags={"team": "q"}))
    tracker.start(run)
    tracker.epoch(_epoch(0))
    tracker.finish(
        "finished",
        {"test_accuracy": 0.9, "verdict": "better", "baseline": {"accuracy": 0.8}},
        [figure, run_dir / "metrics.jsonl"],
    )
    found = _found(client, run_dir)
    assert (found.info.run_name, found.info.status) == ("digits", "FINISHED")
    params = dict(found.data.params)
    assert params.pop("dataset.text").endswith("x [cut, 7000 characters]")
    assert params == {
        "model.circuit": "hea",
        "model.qubits": "8",
        "model.options.layers": "3",
        "dataset.classes": "[3, 5]",
        "dataset.limit": "null",
    }
    tags = {key: tag for key, tag in found.data.tags.items() if not key.startswith("mlflow.")}
    assert tags == {
        "fingerprint.data": "ab" * 32, "sweep": "s1", "team": "q", "generation": "1",
        "workers": "2", "rows": "1168", "parameters": "500", "summary.verdict": "better",
        "run_dir": str(run_dir.resolve()),
    }  # fmt: skip
    assert _points(client, run_dir, "train_loss") == [(0, 2.0), (1, 1.0)]
    assert set(found.data.metrics) == {
        "samples", "train_loss", "val_accuracy", "seconds", "summary.test_accuracy",
        "summary.baseline.accuracy",
    }  # fmt: skip
    assert found.data.metrics["summary.test_accuracy"] == 0.9
    run_id = found.info.run_id
    assert [a.path for a in client.list_artifacts(run_id)] == ["figures", "metrics.jsonl"]
    assert [a.path for a in client.list_artifacts(run_id, "figures")] == ["figures/loss.png"]
    stored = run_dir.parent / "mlflow-artifacts" / run_id / "artifacts" / "figures" / "loss.png"
    assert stored.read_bytes() == b"a picture"


def test_hundreds_of_parameters_and_thousands_of_points_fit(client: MlflowClient, run_dir: Path):
    epochs = [_epoch(e, **{f"m{k}": float(k) for k in range(30)}) for e in range(40)]
    _write(run_dir, START, *epochs)
    tracker = MLflowTracker(TrackConfig())
    tracker.start(
        RunInfo(
            name="wide",
            run_dir=run_dir,
            config={f"p{k}": k for k in range(250)},
            tags={f"t{k}": str(k) for k in range(120)},
        )
    )
    tracker.finish("finished", {}, [])
    found = _found(client, run_dir)
    assert len(found.data.params) == 250
    assert found.data.tags["t119"] == "119"
    assert _points(client, run_dir, "m29") == [(e, 29.0) for e in range(40)]


def test_a_changed_setting_of_a_resumed_run_is_kept_as_a_tag(client: MlflowClient, run_dir: Path):
    for epochs in (3, 3, 60):
        run = RunInfo(name="r", run_dir=run_dir, config={"epochs": epochs}, resumed=epochs == 60)
        tracker = MLflowTracker(TrackConfig())
        tracker.start(run)
        assert _found(client, run_dir).info.status == "RUNNING"
        tracker.finish("interrupted", {}, [])
    found = _found(client, run_dir)
    assert found.data.params == {"epochs": "3"}
    assert found.data.tags["resumed_with.epochs"] == "60"


def test_a_later_summary_is_another_point(client: MlflowClient, run_dir: Path):
    for epochs, accuracy in ((1, 0.5), (3, 0.75)):
        (run_dir / "metrics.jsonl").unlink(missing_ok=True)
        _write(run_dir, START, *map(_epoch, range(epochs)))
        tracker = MLflowTracker(TrackConfig())
        tracker.start(RunInfo(name="r", run_dir=run_dir))
        tracker.finish("finished", {"accuracy": accuracy}, [])
    assert _points(client, run_dir, "summary.accuracy") == [(0, 0.5), (2, 0.75)]
    assert _found(client, run_dir).data.metrics["summary.accuracy"] == 0.75


def test_a_summary_that_was_corrected_is_shown(client: MlflowClient, run_dir: Path):
    _write(run_dir, START, _epoch(0))
    for seconds in (3.0, 2.0, 2.0):
        tracker = MLflowTracker(TrackConfig())
        tracker.start(RunInfo(name="r", run_dir=run_dir))
        tracker.finish("finished", {"seconds": seconds, "jobs": 1}, [])
    assert _found(client, run_dir).data.metrics["summary.seconds"] == 2.0
    assert _points(client, run_dir, "summary.seconds") == [(0, 3.0), (0, 2.0)]
    assert _points(client, run_dir, "summary.jobs") == [(0, 1.0)]


def test_runs_that_begin_together_share_their_experiment(client: MlflowClient, storage: Path):
    config = TrackConfig(experiment="together")
    folders = [storage / f"together-{k}" for k in range(4)]
    gate = threading.Barrier(len(folders))
    errors: list[RunError] = []

    def begin(folder: Path) -> None:
        tracker = MLflowTracker(config)
        gate.wait()
        try:
            tracker.start(RunInfo(name=folder.name, run_dir=folder))
        except RunError as exc:
            errors.append(exc)

    threads = [threading.Thread(target=begin, args=(folder,)) for folder in folders]
    for folder, thread in zip(folders, threads, strict=True):
        folder.mkdir()
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    experiment = client.get_experiment_by_name("together")
    runs = client.search_runs([experiment.experiment_id])
    assert sorted(run.info.run_name for run in runs) == [folder.name for folder in folders]


def test_the_data_are_an_input_of_the_run_once(client: MlflowClient, run_dir: Path):
    """MLflow's digest has 36 characters; the whole fingerprint is a tag of the input."""
    config = {"dataset": {"name": "digits", "source": "sklearn", "params": {"token": PLANTED}}}
    for _ in range(2):
        run = RunInfo(name="r", run_dir=run_dir, config=config, fingerprints={"data": "ab" * 32})
        tracker = MLflowTracker(TrackConfig())
        tracker.start(run)
        tracker.finish("finished", {}, [])
    (given,) = _found(client, run_dir).inputs.dataset_inputs
    data = given.dataset
    assert (data.name, data.digest, data.source_type) == ("digits", "ab" * 18, "sklearn")
    assert '"source": "sklearn"' in data.source
    assert PLANTED not in data.source
    assert {tag.key: tag.value for tag in given.tags} == {
        "mlflow.data.context": "training", "fingerprint": "ab" * 32
    }  # fmt: skip


def test_what_the_driver_costs_is_recorded_where_it_is_asked_for(
    client: MlflowClient, run_dir: Path
):
    _write(run_dir, START, _epoch(0), _epoch(1))
    tracker = MLflowTracker(TrackConfig(mlflow_system_metrics=True), interval=0.0)
    tracker.start(RunInfo(name="r", run_dir=run_dir))
    for epoch in range(2):
        tracker.epoch(_epoch(epoch))
    tracker.finish("finished", {}, [])
    busy = _points(client, run_dir, "system/cpu_percent")
    memory = _points(client, run_dir, "system/peak_memory_mib")
    assert [epoch for epoch, _ in busy] == [epoch for epoch, _ in memory] == [0, 1]
    assert all(value >= 0.0 for _, value in busy)
    assert all(20.0 < value < 100_000.0 for _, value in memory)


def test_epochs_that_follow_fast_are_logged_together(client: MlflowClient, run_dir: Path):
    _write(run_dir, START, *map(_epoch, range(4)))
    tracker = MLflowTracker(TrackConfig(), interval=3600.0)
    tracker.start(RunInfo(name="r", run_dir=run_dir))
    for epoch in range(4):
        tracker.epoch(_epoch(epoch))
    assert [epoch for epoch, _ in _points(client, run_dir, "samples")] == [0]
    tracker.finish("finished", {}, [])
    assert [epoch for epoch, _ in sorted(_points(client, run_dir, "samples"))] == [0, 1, 2, 3]


# ------------------------------------------------------------------------- what must not be there


def test_a_planted_secret_is_nowhere(storage: Path, run_dir: Path, capsys):
    run = RunInfo(
        name="r",
        run_dir=run_dir,
        config={"backend": {"token": PLANTED}, "url": f"https://me:{PLANTED}@host/x"},
        tags={"api_key": PLANTED},
    )
    tracker = MLflowTracker(TrackConfig(tags={"password": PLANTED}))
    follower = Follower(run, [tracker])
    follower.start()
    _write(run_dir, START, _epoch(0))
    assert follower.stop("failed", {"secret": PLANTED, "why": f"http://{PLANTED}@h"}) == []
    files = [path for path in storage.rglob("*") if path.is_file()]
    assert len(files) > 3
    assert [path for path in files if PLANTED.encode() in path.read_bytes()] == []
    captured = capsys.readouterr()
    assert PLANTED not in captured.out + captured.err


def test_an_error_hides_the_password_of_the_store(run_dir: Path, closed_port: int):
    uri = f"http://me:{PLANTED}@127.0.0.1:{closed_port}"
    with pytest.raises(RunError) as caught:
        MLflowTracker(TrackConfig(mlflow_uri=uri)).start(RunInfo(name="r", run_dir=run_dir))
    assert PLANTED not in "".join(traceback.format_exception(caught.value))
    assert caught.value.value == f"http://127.0.0.1:{closed_port}"


def test_the_state_of_the_users_own_program_is_untouched(storage: Path, run_dir: Path, capfd):
    import mlflow

    before = (mlflow.get_tracking_uri(), logging.getLogger().level, logging.getLogger().handlers[:])
    tracker = MLflowTracker(TrackConfig())
    tracker.start(RunInfo(name="r", run_dir=run_dir))
    assert mlflow.active_run() is None
    tracker.finish("finished", {}, [])
    after = (mlflow.get_tracking_uri(), logging.getLogger().level, logging.getLogger().handlers[:])
    assert after == before
    assert capfd.readouterr() == ("", "")


def test_mlflow_comes_with_the_run_without_telemetry_or_noise(tmp_path: Path, repository: Path):
    """In an interpreter of its own, with none of the variables that our tests set."""
    code = f"""
import sys
from pathlib import Path
from qstore_ray.track.base import RunInfo
from qstore_ray.track.config import TrackConfig
from qstore_ray.track.follow import open_trackers
tracker, = open_trackers(TrackConfig())
assert "mlflow" not in sys.modules
run_dir = Path({str(tmp_path / "run")!r})
run_dir.mkdir()
tracker.start(RunInfo(name="r", run_dir=run_dir))
tracker.finish("finished", {{}}, [])
from mlflow.telemetry import get_telemetry_client
assert get_telemetry_client() is None
"""
    hidden = ("MLFLOW_", "PYTEST_", "CI", "GITHUB_", "DO_NOT_TRACK")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(hidden)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=repository,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# ------------------------------------------------------------------------- while the store is away


@pytest.fixture
def closed_port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A port of this machine that refuses connections for as long as the test runs."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def test_a_server_that_refuses_costs_a_warning_and_is_made_up_for(
    client: MlflowClient, run_dir: Path, closed_port: int, capsys
):
    config = TrackConfig(mlflow_uri=f"http://127.0.0.1:{closed_port}")
    follower = Follower(RunInfo(name="r", run_dir=run_dir), [MLflowTracker(config)])
    follower.start()
    _write(run_dir, START, _epoch(0), _epoch(1))
    figure = run_dir / "figures" / "loss.png"
    figure.parent.mkdir()
    figure.write_bytes(b"a picture")
    failures = follower.stop("finished", {"accuracy": 0.5}, [figure])
    assert {(name, type(error)) for name, error in failures} == {("mlflow", RunError)}
    assert follower.incomplete == ["mlflow"]
    assert "Connection refused" in capsys.readouterr().err
    assert not (run_dir / "mlflow_run_id").exists()

    for _ in range(2):  # the second time changes nothing
        assert sync_run(run_dir, TrackConfig()) == ["mlflow"]
        found = _found(client, run_dir)
        assert found.info.status == "FINISHED"
        assert _points(client, run_dir, "train_loss") == [(0, 2.0), (1, 1.0)]
        assert _points(client, run_dir, "summary.accuracy") == [(1, 0.5)]
        assert [a.path for a in client.list_artifacts(found.info.run_id)] == ["figures"]


def test_a_locked_store_is_named_and_tried_again(
    client: MlflowClient, storage: Path, run_dir: Path
):
    tracker = MLflowTracker(TrackConfig(mlflow_uri=f"{default_uri(storage)}?timeout=0.05"))
    run = RunInfo(name="r", run_dir=run_dir)
    with closing(sqlite3.connect(storage / "mlflow.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(RunError, match="could not open the run: database is locked"):
            tracker.start(run)
    tracker.start(run)
    tracker.finish("finished", {}, [])
    assert _found(client, run_dir).info.status == "FINISHED"


def test_points_that_the_store_refused_are_made_up_for_at_the_end(
    client: MlflowClient, storage: Path, run_dir: Path
):
    _write(run_dir, START, _epoch(0), _epoch(1), _epoch(2))
    tracker = MLflowTracker(TrackConfig(), interval=0.0)
    tracker.start(RunInfo(name="r", run_dir=run_dir))
    tracker.epoch(_epoch(0))
    with (
        _failing(storage, "metrics", "INSERT"),
        pytest.raises(RunError, match="could not log an epoch: the store is away"),
    ):
        tracker.epoch(_epoch(1))
    tracker.epoch(_epoch(2))
    tracker.finish("finished", {}, [])
    assert sorted(_points(client, run_dir, "samples")) == [(0, 1168), (1, 2336), (2, 3504)]


def test_a_run_is_over_even_where_its_last_points_are_refused(
    client: MlflowClient, storage: Path, run_dir: Path
):
    _write(run_dir, START, _epoch(0))
    tracker = MLflowTracker(TrackConfig())
    tracker.start(RunInfo(name="r", run_dir=run_dir))
    with (
        _failing(storage, "metrics", "INSERT"),
        pytest.raises(RunError, match="could not finish the run: the store is away"),
    ):
        tracker.finish("failed", {}, [])
    assert _found(client, run_dir).info.status == "FAILED"


def test_a_missing_figure_is_an_error_and_the_run_is_over(client: MlflowClient, run_dir: Path):
    tracker = MLflowTracker(TrackConfig())
    tracker.start(RunInfo(name="r", run_dir=run_dir))
    with pytest.raises(RunError, match="could not finish the run"):
        tracker.finish("finished", {}, [run_dir / "gone.png"])
    assert _found(client, run_dir).info.status == "FINISHED"


def test_a_file_that_is_no_database_is_an_error(tmp_path: Path, run_dir: Path):
    (tmp_path / "mlflow.db").write_text("this is no database, and never was one" * 100)
    tracker = MLflowTracker(TrackConfig(mlflow_uri=default_uri(tmp_path)))
    with pytest.raises(RunError, match="file is not a database"):
        tracker.start(RunInfo(name="r", run_dir=run_dir))


def test_a_run_that_a_named_store_does_not_know_is_not_begun_anew(tmp_path: Path, run_dir: Path):
    (run_dir / "mlflow_run_id").write_text("0" * 32)
    named = TrackConfig(mlflow_uri=default_uri(tmp_path / "elsewhere"))
    (tmp_path / "elsewhere").mkdir()
    with pytest.raises(RunError, match="not found"):
        MLflowTracker(named).start(RunInfo(name="r", run_dir=run_dir, resumed=True))


def test_a_folder_moved_away_from_its_store_is_recorded_in_the_one_beside_it(
    tmp_path: Path, run_dir: Path, capsys: pytest.CaptureFixture[str]
):
    tracker = MLflowTracker(TrackConfig())
    tracker.start(RunInfo(name="r", run_dir=run_dir))
    tracker.finish("finished", {}, [])
    first = (run_dir / "mlflow_run_id").read_text()
    (tmp_path / "other").mkdir()
    run_dir.rename(moved := tmp_path / "other" / "run")
    tracker = MLflowTracker(TrackConfig())
    tracker.start(RunInfo(name="r", run_dir=moved, resumed=True))
    tracker.finish("finished", {}, [])
    assert (moved / "mlflow_run_id").read_text() != first
    client = open_client(default_uri(tmp_path / "other"))
    assert _found(client, moved).info.status == "FINISHED"
    assert "does not have the run" in capsys.readouterr().err


def test_a_run_whose_number_was_not_written_down_is_found_again(
    client: MlflowClient, run_dir: Path
):
    """The driver was killed between the creation of the run and its file."""
    MLflowTracker(TrackConfig()).start(RunInfo(name="r", run_dir=run_dir))
    made = (run_dir / "mlflow_run_id").read_text()
    (run_dir / "mlflow_run_id").unlink()
    MLflowTracker(TrackConfig()).start(RunInfo(name="r", run_dir=run_dir, resumed=True))
    assert (run_dir / "mlflow_run_id").read_text() == made
    client.set_terminated(made.strip())
    (run_dir / "mlflow_run_id").unlink()
    MLflowTracker(TrackConfig()).start(RunInfo(name="r", run_dir=run_dir, resumed=True))
    assert (run_dir / "mlflow_run_id").read_text() != made, "one that has ended is another run"


def test_a_run_whose_driver_was_killed_is_synced_as_interrupted(
    client: MlflowClient, run_dir: Path
):
    RunInfo(name="r", run_dir=run_dir).save()
    _write(run_dir, START, _epoch(0))
    assert sync_run(run_dir, TrackConfig()) == ["mlflow"]
    assert _found(client, run_dir).info.status == "KILLED"
    assert _points(client, run_dir, "train_loss") == [(0, 2.0)]


def test_without_mlflow_the_error_says_what_to_do(run_dir: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "mlflow.tracking", None)
    with pytest.raises(MissingDependencyError, match=r"track\.mlflow=false"):
        MLflowTracker(TrackConfig()).start(RunInfo(name="r", run_dir=run_dir))

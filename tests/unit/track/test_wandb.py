"""W&B offline, for real: in the run folder alone, without a connection, without a trace after."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from qstore_ray.errors import MissingDependencyError, RunError
from qstore_ray.track.base import RunInfo
from qstore_ray.track.config import TrackConfig
from qstore_ray.track.follow import Follower
from qstore_ray.track.jsonl import MetricsFile
from qstore_ray.track.wandb import WandBTracker
from tests.wandb_log import look_at_wandb_log

PLANTED = "hunter2-planted"
START = {"event": "start", "generation": 1, "workers": 2}
OFFLINE = TrackConfig(wandb="offline")

# A whole run in an interpreter of its own: its sockets and processes are nobody else's.
PROGRAM = """
import os, signal, socket, sys, threading
from pathlib import Path
import psutil
connected = []
def hook(event, args):
    if event in ("socket.connect", "socket.getaddrinfo"):
        inet = event == "socket.getaddrinfo" or args[0].family != socket.AF_UNIX
        connected.extend([(event, str(args))] if inet else [])
sys.addaudithook(hook)
from qstore_ray.track.base import RunInfo
from qstore_ray.track.config import TrackConfig
from qstore_ray.track.follow import open_trackers
from qstore_ray.track.jsonl import MetricsFile
run_dir = Path(sys.argv[1])
def epoch(k):
    return {"event": "epoch", "epoch": k, "step": k + 1, "train_loss": 0.5 ** k}
if not (run_dir / "metrics.jsonl").exists():
    with MetricsFile(run_dir / "metrics.jsonl") as metrics:
        for record in ({"event": "start", "generation": 1}, epoch(0), epoch(1)):
            metrics.append(record)
tracker, = open_trackers(TrackConfig(mlflow=False, wandb="offline"))
assert "wandb" not in sys.modules
def work():
    tracker.start(RunInfo(name="r", run_dir=run_dir))
    tracker.epoch(epoch(0))
    tracker.epoch(epoch(1))
    children = psutil.Process().children(recursive=True)
    assert children
    inet = [c for process in children for c in process.net_connections(kind="inet")]
    assert inet == [], inet
    if sys.argv[2] == "killed":
        print(children[0].pid, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    tracker.finish("finished", {}, [])
lane = threading.Thread(target=work)
lane.start()
lane.join()
import wandb
assert wandb.run is None
assert connected == [], connected
assert psutil.Process().children(recursive=True) == []
print("done")
"""


def _program(run_dir: Path, home: Path, how: str) -> subprocess.CompletedProcess[str]:
    hidden = ("WANDB_", "PYTEST_")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(hidden)}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, str(run_dir), how],
        env={**environment, "HOME": str(home), "PYTHONPATH": str(Path.cwd())},
        capture_output=True,
        text=True,
        check=False,
    )


def _epoch(epoch: int) -> dict[str, object]:
    return {"event": "epoch", "epoch": epoch, "step": epoch + 1, "train_loss": 0.5**epoch}


def _write(run_dir: Path, *records: dict[str, object]) -> None:
    with MetricsFile(run_dir / "metrics.jsonl") as metrics:
        for record in records:
            metrics.append(record)


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    return folder


def test_offline_opens_no_connection_prints_nothing_and_leaves_no_process(
    tmp_path: Path, run_dir: Path
):
    done = _program(run_dir, tmp_path, "finished")
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")
    seen = look_at_wandb_log(run_dir)
    assert seen.points == {"train_loss": [(0, 1.0), (1, 0.5)]}
    assert seen.exit_code == 0


def test_a_killed_driver_takes_wandbs_process_along_and_loses_no_point(
    tmp_path: Path, run_dir: Path
):
    killed = _program(run_dir, tmp_path, "killed")
    assert killed.returncode == -9
    process = Path("/proc") / killed.stdout.strip() / "cmdline"
    waited = threading.Event()
    for _ in range(100):
        if not process.exists() or not process.read_bytes():
            break
        waited.wait(0.1)
    assert not process.exists() or not process.read_bytes()
    again = _program(run_dir, tmp_path, "finished")
    assert (again.returncode, again.stderr) == (0, "")
    assert look_at_wandb_log(run_dir).points == {"train_loss": [(0, 1.0), (1, 0.5)]}
    assert len(list((run_dir / "wandb").glob("offline-run-*"))) == 1


def test_a_log_that_was_uploaded_is_kept(run_dir: Path):
    _write(run_dir, START, _epoch(0))
    run_id = "0" * 12
    (run_dir / "wandb_run_id").write_text(run_id)
    sent, unsent = (run_dir / "wandb" / f"offline-run-{k}-{run_id}" for k in (1, 2))
    other = run_dir / "wandb" / "offline-run-3-another"
    for folder in (sent, unsent, other):
        folder.mkdir(parents=True)
    (sent / f"run-{run_id}.wandb.synced").touch()
    tracker = WandBTracker(OFFLINE)
    tracker.start(RunInfo(name="r", run_dir=run_dir))
    tracker.finish("finished", {}, [])
    assert sent.exists()
    assert other.exists()
    assert not unsent.exists()


def _recorded(run_dir: Path) -> str:
    """Record the run of this folder; the W&B id that it has."""
    tracker = WandBTracker(OFFLINE)
    tracker.start(RunInfo(name="r", run_dir=run_dir))
    tracker.finish("finished", {}, [])
    return (run_dir / "wandb_run_id").read_text().split()[0]


def test_a_copy_of_a_run_folder_is_a_run_of_its_own_and_a_moved_one_the_same(run_dir: Path):
    _write(run_dir, START, _epoch(0))
    first = _recorded(run_dir)
    shutil.copytree(run_dir, copy := run_dir.with_name("copy"), symlinks=True)
    second = _recorded(copy)
    assert second != first
    assert [log.name[-12:] for log in (copy / "wandb").glob("offline-run-*")] == [second]
    assert [log.name[-12:] for log in (run_dir / "wandb").glob("offline-run-*")] == [first]
    run_dir.rename(moved := run_dir.with_name("moved"))
    assert _recorded(moved) == first
    assert _recorded(copy) == second
    (link := run_dir.with_name("link")).symlink_to(moved)
    assert _recorded(link) == first


def test_the_users_own_wandb_run_goes_on(run_dir: Path, tmp_path: Path):
    import wandb

    settings = wandb.Settings(mode="offline", root_dir=str(tmp_path), silent=True, console="off")
    own = wandb.init(project="mine", settings=settings)
    try:
        _write(run_dir, START, _epoch(0))
        follower = Follower(RunInfo(name="r", run_dir=run_dir), [WandBTracker(OFFLINE)])
        follower.start()
        assert follower.stop("finished") == []
        assert wandb.run is own
        own.log({"mine": 1.0})
    finally:
        own.finish()
        wandb.teardown()
    assert look_at_wandb_log(tmp_path).points == {"mine": [(0, 1.0)]}
    assert look_at_wandb_log(run_dir).points == {"train_loss": [(0, 1.0)]}


def test_a_planted_secret_is_in_no_file_and_no_output(run_dir: Path, capfd):
    run = RunInfo(
        name="r",
        run_dir=run_dir,
        config={"backend": {"token": PLANTED}, "url": f"https://me:{PLANTED}@host/x"},
        tags={"api_key": PLANTED},
    )
    _write(run_dir, START, _epoch(0))
    follower = Follower(run, [WandBTracker(OFFLINE)])
    follower.start()
    assert follower.stop("failed", {"secret": PLANTED}) == []
    files = [path for path in run_dir.rglob("*") if path.is_file()]
    assert [path for path in files if PLANTED.encode() in path.read_bytes()] == []
    captured = capfd.readouterr()
    assert PLANTED not in captured.out + captured.err


def test_a_missing_figure_is_an_error_and_the_run_is_over(run_dir: Path):
    _write(run_dir, START, _epoch(0))
    tracker = WandBTracker(OFFLINE)
    tracker.start(RunInfo(name="r", run_dir=run_dir))
    with pytest.raises(RunError, match="could not finish the run") as caught:
        tracker.finish("failed", {}, [run_dir / "gone.png"])
    assert (caught.value.field, caught.value.value) == ("track.wandb", "offline")
    assert "track.wandb=offline" in caught.value.fix
    assert look_at_wandb_log(run_dir).exit_code == 1


@pytest.mark.parametrize(
    ("key", "reason"), [("", "No API key configured"), ("a" * 40, "deadline exceeded")]
)
def test_online_without_a_login_or_a_server_is_an_error_and_leaves_no_process(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch, key: str, reason: str
):
    """Nobody is asked for a key, and nothing is recorded elsewhere instead."""
    with socket.socket() as refusing:  # bound, and not listening
        refusing.bind(("127.0.0.1", 0))
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{refusing.getsockname()[1]}")
        monkeypatch.setenv("WANDB_API_KEY", key)
        monkeypatch.setenv("WANDB_INIT_TIMEOUT", "4")
        monkeypatch.setenv("HOME", str(run_dir))
        with pytest.raises(RunError, match="could not open the run") as caught:
            WandBTracker(TrackConfig(wandb="online")).start(RunInfo(name="r", run_dir=run_dir))
    assert reason in caught.value.message
    assert (caught.value.field, caught.value.value) == ("track.wandb", "online")
    assert "wandb login" in caught.value.fix
    children = psutil.Process().children(recursive=True)
    assert [process for process in children if "wandb" in process.name()] == []


def test_without_wandb_the_error_says_what_to_do(run_dir: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(MissingDependencyError) as caught:
        WandBTracker(OFFLINE).start(RunInfo(name="r", run_dir=run_dir))
    assert caught.value.field == "track.wandb"
    assert 'pip install "qstore-ray[wandb]"' in caught.value.fix

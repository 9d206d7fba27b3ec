"""A driver that starts its own Ray: killed, interrupted, or finished, it leaves nothing behind."""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from qstore_ray.errors import InterruptedRunError
from qstore_ray.track.jsonl import epoch_records, read_records
from qstore_ray.train.run.checkpoint import latest_checkpoint
from qstore_ray.train.run.writing import read_run_record
from tests.ray.driver import EPOCHS, train

LEFT_OVER_SECONDS = 20.0


class Driver:
    """A driver process, and every process that descends from it, known by a mark they inherit."""

    def __init__(self, storage: Path, how: str, repository: Path) -> None:
        self.storage = storage
        self.run_dir = storage / "run"
        self._mark = secrets.token_hex(8)
        self.said = storage / "said.txt"
        with self.said.open("w") as said:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.ray.driver", str(storage), how],
                cwd=repository,
                env={**os.environ, "QSTORE_TEST_MARK": self._mark},
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def descendants(self) -> list[psutil.Process]:
        """The processes of this driver that still run, except itself."""
        found = []
        for process in psutil.process_iter():
            try:
                marked = process.environ().get("QSTORE_TEST_MARK") == self._mark
                zombie = process.status() == psutil.STATUS_ZOMBIE
            except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
                continue
            if marked and not zombie and process.pid != self.process.pid:
                found.append(process)
        return found

    def workers(self) -> list[psutil.Process]:
        """The processes of its Ray Train workers."""
        return [process for process in self.descendants() if "RayTrainWorker" in process.name()]

    def wait_for_step(self, step: int) -> None:
        """Return when the run has done so many steps, and more are to come."""
        assert _wait_until(lambda: self.steps_done() >= step, 180), "the driver does not train"
        assert self.process.poll() is None
        assert self.steps_done() < 11 * EPOCHS

    def steps_done(self) -> int:
        """Steps in the metrics file."""
        records = read_records(self.run_dir / "metrics.jsonl")
        return max((int(record.get("step", 0)) for record in records), default=0)

    def starts(self) -> list[dict]:
        """The starts in the metrics file."""
        records = read_records(self.run_dir / "metrics.jsonl")
        return [record for record in records if record["event"] == "start"]

    def result(self) -> dict:
        """What the driver has written at its end."""
        return json.loads((self.storage / "result.json").read_text())

    def end(self) -> tuple[str, list[dict]]:
        """θ as bits, and the epochs."""
        assert self.process.wait(180) == 0
        return self.result()["theta"], _epochs(self.run_dir)

    def assert_nothing_is_left(self) -> None:
        """No descendant runs, at the latest after some seconds."""
        gone = _wait_until(lambda: not self.descendants(), LEFT_OVER_SECONDS)
        assert gone, f"still running: {[process.cmdline()[:3] for process in self.descendants()]}"


def _epochs(run_dir: Path) -> list[dict]:
    records = epoch_records(read_records(run_dir / "metrics.jsonl"))
    epochs = [{k: v for k, v in record.items() if k != "seconds"} for record in records]
    assert len(epochs) == EPOCHS
    return epochs


def _here(storage: Path, how: str) -> tuple[str, list[dict]]:
    """θ as bits, and the epochs, of the same training without Ray, in this process."""
    return train(storage, 0, how), _epochs(storage / "run")


def _wait_until(condition: Callable[[], object], seconds: float) -> bool:
    deadline, pause = time.monotonic() + seconds, threading.Event()
    while not condition():
        if time.monotonic() > deadline:
            return False
        pause.wait(0.05)
    return True


def _ports(processes: list[psutil.Process]) -> set[int]:
    """The TCP ports on which any of these processes listens."""
    ports: set[int] = set()
    for process in processes:
        try:
            connections = process.net_connections(kind="tcp")
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        ports |= {c.laddr.port for c in connections if c.status == psutil.CONN_LISTEN}
    return ports


@pytest.fixture
def drive(repository: Path) -> Iterator[Callable[..., Driver]]:
    """Starts drivers; what is left of them at the end is killed."""
    drivers: list[Driver] = []

    def start(storage: Path, how: str = "new") -> Driver:
        drivers.append(Driver(storage, how, repository))
        return drivers[-1]

    yield start
    for driver in drivers:
        if driver.process.poll() is None:
            driver.process.kill()
        driver.process.wait()
        for process in driver.descendants():
            process.kill()


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory) -> tuple[str, list[dict]]:
    """The same training without Ray, from start to end."""
    return _here(tmp_path_factory.mktemp("alone"), "new")


def test_a_killed_driver_leaves_no_process_and_its_run_is_resumed_to_the_same_bits(
    drive, uninterrupted, tmp_path
):
    """And after the resumed run's normal end nothing runs or listens either."""
    killed = drive(tmp_path)
    killed.wait_for_step(20)
    assert killed.descendants(), "Ray's processes carry the mark"
    os.kill(killed.process.pid, signal.SIGKILL)
    assert killed.process.wait(10) == -signal.SIGKILL
    assert read_run_record(killed.run_dir)["status"] == "running"

    resumed = drive(tmp_path, "resume")
    ports: set[int] = set()

    def resumes() -> bool:
        ports.update(_ports(resumed.descendants()))  # on a busy machine it may end unseen
        return len(resumed.starts()) == 2

    assert _wait_until(resumes, 180), "the driver does not resume"
    assert ports, "while it runs, Ray listens"
    assert resumed.end() == uninterrupted
    record = read_run_record(resumed.run_dir)
    assert (record["status"], record["generation"]) == ("finished", 2)
    assert resumed.starts()[-1]["resumed_from_step"] > 0
    killed.assert_nothing_is_left()
    resumed.assert_nothing_is_left()
    listening = {
        connection.laddr.port
        for connection in psutil.net_connections(kind="tcp")
        if connection.status == psutil.CONN_LISTEN
    }
    assert not ports & listening
    assert not (resumed.run_dir / ".ray").exists()


def test_a_killed_worker_costs_a_line_that_says_so_and_where_training_resumes(
    drive, uninterrupted, tmp_path
):
    """On stdout and stderr together, where Ray would print a paragraph about its process."""
    driver = drive(tmp_path)
    driver.wait_for_step(1)
    worker = driver.workers()[-1]  # to look for it takes time, too
    driver.wait_for_step(25)
    worker.kill()
    assert driver.end() == uninterrupted
    first, again = driver.starts()
    assert first["resumed_from_step"] == 0
    assert again["resumed_from_step"] > 0
    place = f"epoch {again['resumed_from_epoch'] + 1}"
    # A checkpoint that was being written may be the subject of another warning.
    lines = driver.said.read_text().splitlines()
    assert all(line.startswith("warning: ") for line in lines), lines
    (said,) = (line for line in lines if "lost" in line)
    cause = "its process (was killed or crashed|cannot be reached)"
    assert re.fullmatch(
        f"warning: worker [01] was lost: {cause}; training resumes from {place}\\.", said
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("send", "number"),
    [(os.kill, signal.SIGINT), (os.killpg, signal.SIGTERM), (os.killpg, signal.SIGHUP)],
    ids=["Ctrl-C", "a process manager's SIGTERM", "the terminal was closed"],
)
def test_an_interrupted_driver_writes_a_checkpoint_and_can_be_resumed(
    drive, uninterrupted, tmp_path, send, number
):
    driver = drive(tmp_path)
    driver.wait_for_step(15)
    send(driver.process.pid, number)  # which is the number of its group, too
    assert driver.process.wait(180) == InterruptedRunError.exit_code
    error = driver.result()
    assert error["error"] == "InterruptedRunError"
    assert "existing='resume'" in error["fix"]
    assert read_run_record(driver.run_dir)["status"] == "interrupted"
    checkpoint, problems = latest_checkpoint(driver.run_dir / "checkpoints")
    assert problems == []
    assert checkpoint is not None
    assert checkpoint.manifest["step"] >= 15
    assert read_records(driver.run_dir / "metrics.jsonl")[-1]["status"] == "interrupted"
    driver.assert_nothing_is_left()
    # The other kind of run takes it up: the number of workers may change.
    assert _here(tmp_path, "resume") == uninterrupted


def test_a_stop_that_ends_rays_head_too_loses_nothing(drive, uninterrupted, tmp_path):
    """As service managers end a service: all processes at once.

    The driver stops as usual, unless Ray's own code meets the loss of the head before ours does: it
    ends the process with exit code 1, which nothing in Python can prevent. Either way the driver
    does not wait for a head that is gone, and the run resumes to the same bits.
    """
    driver = drive(tmp_path)
    driver.wait_for_step(25)
    for process in [driver.process, *driver.descendants()]:
        with suppress(psutil.NoSuchProcess):  # ended with one that was signalled before it
            process.send_signal(signal.SIGTERM)
    code = driver.process.wait(60)
    assert code in {InterruptedRunError.exit_code, 1}
    if code == InterruptedRunError.exit_code:
        assert driver.result()["error"] == "InterruptedRunError"
        assert read_run_record(driver.run_dir)["status"] == "interrupted"
    driver.assert_nothing_is_left()
    assert _here(tmp_path, "resume") == uninterrupted

"""The end of a cluster is announced to its drivers, and waits for those that live."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from qstore_ray.cluster import drivers
from qstore_ray.cluster.drivers import announce_end, joined_driver
from qstore_ray.cluster.record import ClusterRecord, read_record, write_record
from qstore_ray.train.ray.interrupt import reason_of, stop_all, stop_on_signal
from qstore_ray.train.ray.join import ends
from qstore_ray.tune.driver.finalize import stopped_error

RECORD = ClusterRecord("running", "a", "b", 1, 1, 1, 80, "", "", "", "", "", "")
DRIVER = """
import sys, threading
from pathlib import Path
from qstore_ray.cluster.drivers import joined_driver
with joined_driver(Path(sys.argv[1]), lambda: print("ends", flush=True)):
    print("joined", flush=True)
    threading.Event().wait()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_record(tmp_path, RECORD)
    return tmp_path


@pytest.mark.parametrize("thread", [False, True], ids=["main thread", "another thread"])
def test_a_run_is_asked_to_stop_and_waited_for(folder: Path, thread: bool) -> None:
    joined, order = threading.Event(), list[str]()

    def run() -> None:
        stop = threading.Event()
        with joined_driver(folder, stop_all), stop_on_signal(stop):
            joined.set()
            assert stop.wait(30)
            time.sleep(0.3)  # it saves a checkpoint
            order.append("saved")

    def end() -> None:
        assert joined.wait(30)
        announce_end(folder)
        order.append("ended")

    other = threading.Thread(target=run if thread else end)
    other.start()
    (end if thread else run)()
    other.join()
    assert order == ["saved", "ended"]
    assert read_record(folder) == replace(RECORD, state="ending")
    assert not [*(folder / "drivers").iterdir()]


def test_a_run_knows_that_it_was_stopped_because_the_cluster_ends(folder: Path) -> None:
    """And the next run of the process, which is stopped by a signal, does not think so, too."""
    stop, other = threading.Event(), threading.Event()
    with joined_driver(folder, ends), stop_on_signal(stop):
        other_thread = threading.Thread(target=announce_end, args=(folder,))
        other_thread.start()
        assert stop.wait(30)
    other_thread.join()
    assert reason_of(stop) == "stopped because the cluster of this machine was ended"
    with stop_on_signal(other):
        signal.raise_signal(signal.SIGINT)
        assert other.wait(30)
        ends()  # too late: it is being stopped
    assert reason_of(other) == "stopped on request"


@pytest.mark.parametrize("why", ["stopped on request", "stopped because the cluster was ended"])
def test_a_search_says_why_it_was_stopped(why: str) -> None:
    error = stopped_error(Path("runs/digits-tune"), why=why)
    assert error.message == f"the search was {why}"
    refit = stopped_error(Path("runs/digits-tune"), "the final training", "the budget is spent")
    assert refit.message == "the final training was stopped: the budget is spent"


def test_without_drivers_the_end_is_not_announced(folder: Path) -> None:
    with joined_driver(folder, lambda: pytest.fail("the cluster does not end")):
        time.sleep(0.3)
    announce_end(folder)
    assert read_record(folder) == RECORD


def test_a_driver_that_does_not_leave_or_was_killed_is_not_waited_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drivers, "_LEAVE_SECONDS", 0.5)
    with subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(folder)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "joined\n"
            announce_end(folder)  # it stays, and the cluster ends under it
            assert process.stdout.readline() == "ends\n"
        finally:
            process.kill()
    write_record(folder, RECORD)
    monkeypatch.setattr(drivers, "_LEAVE_SECONDS", 300.0)
    announce_end(folder)
    assert read_record(folder) == RECORD

"""Signals: the first asks, a later one insists, and none is a traceback."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from qstore_ray.track.logs import logging
from qstore_ray.train.ray import interrupt
from qstore_ray.train.ray.interrupt import stop_on_signal

ALL = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


def _raise(*numbers: signal.Signals) -> None:
    for number in numbers:
        signal.raise_signal(number)


@pytest.mark.parametrize("number", ALL)
def test_the_first_signal_asks_for_a_stop(number: signal.Signals):
    before = [signal.getsignal(each) for each in ALL]
    stop = threading.Event()
    with stop_on_signal(stop):
        signal.raise_signal(number)
        assert stop.is_set()
    assert [signal.getsignal(each) for each in ALL] == before


@pytest.mark.parametrize("first", ALL)
def test_a_ctrl_c_after_it_insists(first: signal.Signals):
    with pytest.raises(KeyboardInterrupt), stop_on_signal(threading.Event()):
        _raise(first, signal.SIGINT)


def test_what_a_process_manager_sends_twice_at_once_counts_once(monkeypatch: pytest.MonkeyPatch):
    stop = threading.Event()
    with stop_on_signal(stop):
        _raise(signal.SIGTERM, signal.SIGTERM, signal.SIGHUP, signal.SIGHUP)
    assert stop.is_set()
    monkeypatch.setattr(interrupt, "_SAME_INSTANT", -1.0)
    with pytest.raises(KeyboardInterrupt), stop_on_signal(threading.Event()):
        _raise(signal.SIGTERM, signal.SIGTERM)


@pytest.mark.parametrize("asked", [True, False])
def test_it_is_said_what_a_stop_waits_for(asked: bool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(interrupt, "_LONG", 0.01)
    said = queue.SimpleQueue[str]()
    monkeypatch.setattr(logging, "announce", lambda _kind, text: said.put(text))
    with stop_on_signal(threading.Event()):
        if asked:
            signal.raise_signal(signal.SIGINT)
            assert "Ctrl-C again" in said.get(timeout=60)
        else:
            time.sleep(0.05)
    assert said.empty()


def test_under_nohup_the_terminal_may_be_closed():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        stop = threading.Event()
        with stop_on_signal(stop):
            signal.raise_signal(signal.SIGHUP)
        assert not stop.is_set()
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_in_another_thread_nothing_changes():
    before = [signal.getsignal(each) for each in ALL]
    seen = []

    def look() -> None:
        with stop_on_signal(threading.Event()):
            seen.append([signal.getsignal(each) for each in ALL])

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [before]


# ------------------------------------------------------------------------------ of a command


@pytest.mark.parametrize("number", ALL)
def test_a_command_is_left_in_the_middle_of_its_imports(
    number: signal.Signals, repository: Path, tmp_path: Path
):
    """A package that takes for ever to import stands for those that take seconds."""
    (tmp_path / "typer.py").write_text(
        "import sys, time\nsys.stderr.write('here\\n')\nsys.stderr.flush()\ntime.sleep(60)\n"
    )
    path = os.pathsep.join([str(tmp_path), str(repository)])
    process = subprocess.Popen(
        [sys.executable, "-m", "qstore_ray", "train", "job.toml", "--json"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert process.stderr.readline() == "here\n"
    process.send_signal(number)
    out, err = process.communicate()
    assert process.returncode == 5, err
    assert "Traceback" not in err
    assert err.startswith("error     stopped on request\n")
    assert json.loads(out)["exit_code"] == 5


@pytest.mark.parametrize("number", ALL)
def test_a_command_is_left_while_it_works(number: signal.Signals, repository: Path):
    code = (
        "import sys, time, qstore_ray.cli.app as app\n"
        "def work(*_):\n"
        "    try:\n"
        "        print('here', file=sys.stderr, flush=True)\n"
        "        time.sleep(60)\n"
        "    finally: print('cleaned up', file=sys.stderr, flush=True)\n"
        "app._run = work\n"
        "from qstore_ray.cli.entry import main\n"
        "sys.argv = ['qstore', 'train', '--json']; sys.exit(main())\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=repository,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert process.stderr.readline() == "here\n"
    process.send_signal(number)
    if number != signal.SIGINT:
        process.send_signal(number)  # the same one, once to the process and once to its group
    out, err = process.communicate()
    assert process.returncode == 5, err
    assert "Traceback" not in err
    assert "cleaned up" in err
    assert "stopped on request" in err
    assert json.loads(out)["error"] == "InterruptedRunError"


def test_a_second_ctrl_c_does_not_wait_for_the_cleaning_up(repository: Path):
    code = (
        "import sys, time, qstore_ray.cli.app as app\n"
        "def work(*_):\n"
        "    try:\n"
        "        print('here', file=sys.stderr, flush=True); time.sleep(60)\n"
        "    finally:\n"
        "        print('cleaning up', file=sys.stderr, flush=True); time.sleep(60)\n"
        "app._run = work\n"
        "from qstore_ray.cli.entry import main\n"
        "sys.argv = ['qstore', 'train']; sys.exit(main())\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=repository, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    for line in ("here\n", "cleaning up\n"):
        assert process.stderr.readline() == line
        process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 5, err
    assert "Traceback" not in err


JOB = """
name = "done"
baseline = false

[dataset]
name = "iris"
source = "sklearn"
params = { dataset = "iris" }

[model]
n_qubits = 4
layers = 1

[trainer]
epochs = 1
num_workers = 0

[track]
mlflow = false
figures = false
"""


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize(("number", "times"), [*((each, 1) for each in ALL), (signal.SIGINT, 2)])
def test_a_run_that_has_finished_is_no_interrupted_one(
    number: signal.Signals, times: int, repository: Path, tmp_path: Path
):
    """A signal among its last steps changes nothing; one that insists does not wait for them."""
    code = (
        "import sys, time, qstore_ray.train.trainer as trainer\n"
        "last = trainer.close_metrics\n"
        "def slowly(*given):\n"
        "    print('here', file=sys.stderr, flush=True)\n"
        f"    time.sleep({1 if times == 1 else 60})\n"
        "    print('there', file=sys.stderr, flush=True)\n"
        "    last(*given)\n"
        "trainer.close_metrics = slowly\n"
        "from qstore_ray.cli.entry import main\n"
        "sys.argv = ['qstore', 'train', 'job.toml', '--quiet', '--json']; sys.exit(main())\n"
    )
    (tmp_path / "job.toml").write_text(JOB)
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(repository)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    while process.stderr.readline() != "here\n":
        assert process.poll() is None
    for _ in range(times):
        process.send_signal(number)
        time.sleep(0.2)
    out, err = process.communicate()
    status = json.loads(out)["status"] if times == 1 else json.loads(out)["exit_code"]
    assert (process.returncode, status) == ((0, "finished") if times == 1 else (5, 5)), err
    assert ("there" in err) == (times == 1)
    assert json.loads((tmp_path / "runs/done/run.json").read_text())["status"] == (
        "finished" if times == 1 else "running"
    )

"""`qstore submit` on a cluster with a token: its exit code is the job's, and none runs twice."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import psutil
import pytest
import requests

from qstore_ray.cli.app import main
from tests.unit.cli.test_train import JOB

Submit: TypeAlias = Callable[..., tuple[int, dict[str, Any], str]]
LONGEST = 120.0
"""Seconds of a submission, on a machine that is busy with other tests."""


@dataclass(frozen=True)
class Head:
    """A Ray head on loopback with its job server."""

    address: str
    token: str

    def environment(self, token: str | None) -> dict[str, str]:
        """Variables of a process that has this token, or none."""
        names = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_ADDRESS")
        plain = {name: value for name, value in os.environ.items() if name not in names}
        return plain if token is None else {**plain, "RAY_AUTH_TOKEN": token}


def _ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for opened in sockets:
        opened.bind(("127.0.0.1", 0))
    ports = [opened.getsockname()[1] for opened in sockets]
    for opened in sockets:
        opened.close()
    return ports


@pytest.fixture(scope="module")
def head(repository: Path) -> Iterator[Head]:
    """A head of two CPUs under a token; it ends with the tests."""
    port, dashboard, client, agent = _ports(4)
    found = Head(f"http://127.0.0.1:{dashboard}", secrets.token_hex(32))
    environment = {**found.environment(found.token), "RAY_AUTH_MODE": "token"}
    environment["PYTHONPATH"] = str(repository)
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    with tempfile.TemporaryDirectory(prefix="qs") as scratch:
        command = [
            *(sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block"),
            *(f"--port={port}", "--num-cpus=2", "--dashboard-host=127.0.0.1"),
            *(f"--dashboard-port={dashboard}", f"--ray-client-server-port={client}"),
            *(f"--dashboard-agent-listen-port={agent}", "--node-ip-address=127.0.0.1"),
            *(f"--temp-dir={scratch}", "--disable-usage-stats", "--object-store-memory=200000000"),
        ]
        log = Path(scratch) / "head.txt"
        with log.open("w") as output:
            process = subprocess.Popen(
                command, env=environment, stdout=output, stderr=output, start_new_session=True
            )
        try:
            _wait_for(found, log)
            yield found
        finally:
            for started in psutil.Process(process.pid).children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    started.kill()
            process.kill()
            process.wait(30)


def _wait_for(head: Head, log: Path) -> None:
    until = time.monotonic() + LONGEST
    while time.monotonic() < until:
        try:
            answer = requests.get(
                f"{head.address}/api/jobs/",
                headers={"Authorization": f"Bearer {head.token}"},
                timeout=10,
            )
        except requests.ConnectionError:
            time.sleep(0.3)
            continue
        if answer.ok:
            return
        time.sleep(0.3)
    raise AssertionError(log.read_text()[-2000:])


@pytest.fixture
def submit(
    head: Head, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Submit:
    """Submit from this process; the exit code, the line of JSON, and what stderr holds."""
    for name in ("RAY_AUTH_TOKEN_PATH", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RAY_AUTH_TOKEN", head.token)

    def run(*words: object) -> tuple[int, dict[str, Any], str]:
        code = main(["submit", *map(str, words), "--json", "--address", head.address])
        out, err = capsys.readouterr()
        return code, json.loads(out.splitlines()[-1]), err

    return run


def _job(folder: Path, text: str = JOB) -> Path:
    path = folder / "iris.toml"
    text = text.replace("epochs = 2", "epochs = 2\nnum_workers = 0")
    path.write_text(text.format(storage=folder / "runs"), encoding="utf-8")
    return path


def test_a_job_runs_once_and_its_result_comes_back(
    head: Head, submit: Submit, tmp_path: Path
) -> None:
    """The same submission again finds the job, its logs and its result; it does not run again."""
    job = _job(tmp_path)
    code, first, logs = submit(job)
    assert (code, first["id"], first["exit_code"]) == (0, "iris", 0), logs
    assert first["result"]["status"] == "finished", logs
    assert Path(first["result"]["run_dir"]).parent == tmp_path / "runs"
    code, again, logs = submit(job)
    assert (code, again) == (0, first)
    assert "found there" in logs
    assert head.token not in logs
    listed = requests.get(
        f"{head.address}/api/jobs/", headers={"Authorization": f"Bearer {head.token}"}, timeout=10
    )
    assert head.token not in listed.text
    assert [entry["submission_id"] for entry in listed.json()] == ["iris"]


def test_a_job_that_fails_gives_its_own_exit_code_and_is_tried_again(
    submit: Submit, tmp_path: Path
) -> None:
    """Its data are missing, which is exit code 3; once they are there, the same line succeeds."""
    text = JOB.replace(
        'params = {{ dataset = "iris" }}',
        'source = "local"\nparams = {{ path = "{storage}.csv" }}',
    )
    job = _job(tmp_path, text)
    code, first, logs = submit(job, "--id", "bad")
    assert (first["id"], first["exit_code"], code) == ("bad", 3, 3), logs
    rows = "".join(f"{i},{i * i % 7},{i % 2}\n" for i in range(20))
    Path(f"{tmp_path}/runs.csv").write_text(f"a,b,y\n{rows}", encoding="utf-8")
    code, second, logs = submit(job, "--id", "bad")
    assert (second["id"], second["exit_code"], code) == ("bad-2", 0, 0), logs


@pytest.mark.parametrize("token", [None, "0" * 64], ids=["missing", "wrong"])
def test_without_the_token_nothing_is_submitted(
    head: Head, submit: Submit, tmp_path: Path, monkeypatch, token: str | None
) -> None:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    answer = requests.get(f"{head.address}/api/jobs/", headers=headers, timeout=10)
    assert answer.status_code == (401 if token is None else 403)
    monkeypatch.setenv("HOME", str(tmp_path))  # where another token may be
    monkeypatch.setenv("RAY_AUTH_TOKEN", token or "")
    code, error, said = submit(_job(tmp_path), "--id", "no-token")
    assert (code, error["error"]) == (4, "BackendError"), said
    assert "RAY_AUTH_TOKEN" in str(error["fix"])


@pytest.mark.slow
@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_leaves_the_job_running(head: Head, submit: Submit, tmp_path: Path) -> None:
    """The second submission follows the first, and says that the job continues."""
    job = _job(tmp_path, JOB.replace("epochs = 2", "epochs = 100000"))
    assert submit(job, "--id", "long", "--no-wait")[:2] == (0, {"id": "long", "submitted": True})
    url = f"{head.address}/api/jobs/long"
    headers = {"Authorization": f"Bearer {head.token}"}
    interrupt = threading.Timer(5.0, os.kill, (os.getpid(), signal.SIGINT))
    interrupt.start()
    code, error, said = submit(job, "--id", "long")
    assert (code, error["message"]) == (5, "the job long continues"), said
    assert requests.get(url, headers=headers, timeout=10).json()["status"] in {"PENDING", "RUNNING"}
    requests.post(f"{url}/stop", headers=headers, timeout=10).raise_for_status()


@pytest.mark.slow
def test_a_killed_run_is_resumed_from_its_checkpoint_by_the_same_line(
    submit: Submit, tmp_path: Path
) -> None:
    job = _job(tmp_path, JOB.replace("epochs = 2", "epochs = 300"))
    assert submit(job, "--id", "killed", "--no-wait")[0] == 0
    run = tmp_path / "runs" / "iris"
    until = time.monotonic() + LONGEST
    while not list(run.glob("checkpoints/step-*/manifest.json")) and time.monotonic() < until:
        time.sleep(0.05)
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess):
            words = process.cmdline()
            if "qstore_ray" in words and str(tmp_path / "runs") in words:
                process.kill()
    code, found, logs = submit(job, "--id", "killed")
    assert (code, found["id"], found["exit_code"]) == (0, "killed-2", 0), logs
    records = [json.loads(line) for line in (run / "metrics.jsonl").open()]
    starts = [record for record in records if record["event"] == "start"]
    assert [start["resumed_from_epoch"] > 0 for start in starts] == [False, True]
    epochs = [record["epoch"] for record in records if record["event"] == "epoch"]
    assert epochs == list(range(300))


@pytest.mark.slow
def test_a_changed_job_file_is_not_passed_off_as_the_one_that_ran(
    submit: Submit, tmp_path: Path
) -> None:
    job = _job(tmp_path)
    assert submit(job, "--id", "changed")[0] == 0
    job.write_text(job.read_text().replace("epochs = 2", "epochs = 3"), encoding="utf-8")
    code, error, said = submit(job, "--id", "changed")
    assert (code, error["error"]) == (2, "UsageError"), said
    assert "--id" in str(error["fix"])

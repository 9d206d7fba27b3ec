"""Drivers and the gateway's process are killed on Ray; nothing is lost, paid twice or shown."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from qstore_ray.backends.ibm.ledger.record import JobState
from qstore_ray.backends.ibm.ledger.replay import LEDGER, replay
from tests.ibm.launch import ROOT, Loopback, in_thread
from tests.ray.heads import ray_head

KEY = "planted-key-7d1f3c9a5b"
SECONDS = 240.0  # a start of Ray and of a driver, on a busy machine


def driver(storage: Path, name: str, how: str, environment: dict[str, str]) -> subprocess.Popen:
    """The process of a driver; what it prints is appended to STORAGE/output."""
    with (storage / "output").open("a") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.ray.ibm_driver", str(storage), name, how],
            cwd=ROOT, env=environment, stdout=output, stderr=output,
        )  # fmt: skip


def wait_for(condition: Callable[[], object], storage: Path) -> None:
    """Wait until the condition holds; else show what the drivers have printed."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, (storage / "output").read_text()[-3000:]
        time.sleep(0.05)


def servers() -> list[psutil.Process]:
    """The processes of gateways."""
    named = psutil.process_iter(["name", "cmdline"])
    return [p for p in named if any("GatewayServer" in w for w in p.info["cmdline"] or ())]


def audit(ibm: Loopback, storage: Path) -> None:
    """Each accepted job is the one of a finished record, or was cancelled; each is used once."""
    used: list[str] = []
    for path in (storage / "ledgers").rglob(LEDGER):
        for record in replay(path.parent).records.values():
            assert record.state is JobState.FINISHED
            used += [record.job_id]
            assert all(how == "cancelled" for how in record.duplicates.values())
    accepted = [job["id"] for job in ibm.jobs() if job["status"] == "Completed"]
    assert sorted(used) == sorted(accepted)
    assert len(used) == len(set(used))


def holds(folder: Path, *secrets: bytes) -> list[Path]:
    """The files below a folder that hold one of these, sockets and pipes left out."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return [path for path in files if any(secret in path.read_bytes() for secret in secrets)]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_drivers_and_gateways_lose_nothing_and_show_no_key(tmp_path):
    with in_thread(api_key=KEY, queue_delay=0.3) as ibm:
        environment = os.environ | ibm.environment(tmp_path / "home")
        (tmp_path / "home").mkdir()
        del environment["QISKIT_IBM_TOKEN"], environment["QISKIT_IBM_INSTANCE"]
        (tmp_path / "key").touch(0o600)
        (tmp_path / "key").write_text(KEY)
        with ray_head(environment) as (joined, session):
            killed = driver(tmp_path, "one", "error", joined)
            wait_for(lambda: len(ibm.accepted()) >= 2, tmp_path)
            killed.kill()
            killed.wait()
            (server,) = servers()
            again = driver(tmp_path, "one", "resume", joined)
            other = driver(tmp_path, "two", "error", joined)
            second = driver(tmp_path, "two", "error", joined)
            wait_for(lambda: len(ibm.accepted()) >= 5, tmp_path)
            server.kill()  # in the middle of both runs, which share it
            codes = sorted([other.wait(SECONDS), second.wait(SECONDS)])
            assert again.wait(SECONDS) == 0, (tmp_path / "output").read_text()[-3000:]
            assert codes[0] == 0, "one of two drivers of a name trains"
            assert codes[1] != 0, "the other is refused"
            wait_for(lambda: not servers(), tmp_path)
            shown = holds(session, KEY.encode(), ibm.settings.crn.encode())
        audit(ibm, tmp_path)
        opened, closed = (ibm.requests()[name] for name in ("open_session", "close_session"))
    assert shown == []
    assert [path.name for path in holds(tmp_path, KEY.encode())] == ["key"]
    assert holds(tmp_path, ibm.settings.crn.encode()) == []
    assert closed >= opened >= 2

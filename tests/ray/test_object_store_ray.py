"""A run on Ray whose storage is an object store, over a driver that is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from qstore_ray.storage.address import StorageAddress
from qstore_ray.storage.cloud import open_objects
from qstore_ray.track.jsonl import read_records
from qstore_ray.train.run.find import find_run
from qstore_ray.train.run.writing import read_run_record
from tests.ray.driver import train
from tests.unit.storage.conftest import bucket, endpoint, stage

__all__ = ["bucket", "endpoint", "stage"]  # fixtures
pytestmark = pytest.mark.slow
_SECONDS = 180.0


def _wait_until(condition: Callable[[], object], process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _SECONDS
    while not condition():
        assert process.poll() is None, "the driver has ended"
        assert time.monotonic() < until, "the driver does not train"
        time.sleep(0.1)


def _drive(folder: Path, how: str, storage: str, cache: Path) -> subprocess.Popen[bytes]:
    """A driver on a machine whose stages are below `cache`."""
    command = [sys.executable, "-m", "tests.ray.driver", str(folder), how, storage]
    return subprocess.Popen(
        command, env={**os.environ, "XDG_CACHE_HOME": str(cache)}, start_new_session=True
    )


def _end(folder: Path, process: subprocess.Popen[bytes]) -> str:
    assert process.wait(_SECONDS) == 0
    return str(json.loads((folder / "result.json").read_text())["theta"])


def test_a_killed_driver_is_followed_by_one_on_another_machine(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits for the lease of the killed one, and ends with the bits of an undisturbed run."""
    objects = open_objects(StorageAddress("s3", bucket.removeprefix("s3://"), "run"))

    def saved() -> int:
        """Checkpoints that are visible by now, of the newest step."""
        keys = [key for key in objects.listing("checkpoints") if key.endswith("manifest.json")]
        return max((int(key.split("step-")[1].split("/")[0]) for key in keys), default=0)

    killed = _drive(tmp_path, "new", bucket, tmp_path / "first")
    try:
        _wait_until(lambda: saved() > 11, killed)
    finally:
        killed.send_signal(signal.SIGKILL)
        killed.wait()
    resumed = _drive(tmp_path, "resume", bucket, tmp_path / "second")
    try:
        theta = _end(tmp_path, resumed)
    finally:
        resumed.kill()
    (tmp_path / "plain").mkdir()
    assert theta == train(tmp_path / "plain", 0, "new")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "third"))
    folder = find_run("run", bucket)
    record = read_run_record(folder)
    assert (record["status"], record["generation"]) == ("finished", 2)
    records = read_records(folder / "metrics.jsonl")
    starts = [each for each in records if each["event"] == "start"]
    assert starts[-1]["resumed_from_step"] >= 11
    steps = [each["step"] for each in records if each["event"] == "epoch"]
    assert steps == sorted(set(steps))
    assert len(steps) == 12

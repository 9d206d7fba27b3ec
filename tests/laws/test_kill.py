"""A run that is killed at any of its effects on the disk ends, resumed, as if it had not been."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# What must have been among the effects: the kind, and the file or folder that it is about.
AMONG = [
    "write told.jsonl",  # a call of a tracker
    "write metrics.jsonl",
    "rename metrics.jsonl",  # cut back to the restored step
    "rename arrays.npz",  # a member of a checkpoint, or of a model that is kept
    "rename manifest.json",
    "remove manifest.json",  # a checkpoint that is deleted
    "rename index.json",
    "rename metrics.csv",
    "rename run.json",
    "remove run.json",  # by --fresh
    "rename config.toml",
    "rename tracking.json",
    "mkdir checkpoints",
    "mkdir models",
    "mkdir step-00000002",
    "rmdir step-00000002",
    "rename figure",
    "rename report.html",
]


WRITTEN = [name for name in AMONG if name.startswith(("write met", "mkdir"))]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """In memory, where there is such a folder: hundreds of runs wait for each of their writes.

    A process that is killed, unlike a machine that stops, loses nothing that it has written.
    """
    if not os.access("/dev/shm", os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        yield Path(name)


def _enumerate(how: str, repository: Path, folder: Path) -> dict:
    done = subprocess.run(
        [sys.executable, str(repository / "tests" / "kill_points.py"), str(folder), how],
        env={**os.environ, "PYTHONPATH": str(repository)},
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    sys.stdout.write(f"{how}: {sum(found['effects'].values())} times, {found['seconds']} s\n")
    return found


@pytest.mark.timeout(900)
def test_killed_at_any_effect_and_resumed_it_ends_with_the_same_bits(repository, folder):
    """Parameters, state, epochs, models, table, what a tracker was told, and the files' names."""
    found = _enumerate("kill", repository, folder)
    assert found["failures"] == []
    assert set(AMONG) <= found["effects"].keys()
    assert sum(found["effects"].values()) > 200


@pytest.mark.timeout(900)
def test_a_disk_that_is_full_at_any_effect_is_our_error_and_costs_nothing(repository, folder):
    """The same is compared, after there is room again."""
    found = _enumerate("full", repository, folder)
    assert found["failures"] == []
    assert set(WRITTEN) <= found["effects"].keys()
    assert sum(found["effects"].values()) > 50

"""A federation that is killed at any of its effects on the disk ends as if it had not been."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

AMONG = [
    "open .site.key.PID.part",
    "write rounds.jsonl",
    "write metrics.jsonl",
    "rename arrays.npz",
    "rename manifest.json",
    "rename run.json",
    "rename privacy.json",
    "mkdir checkpoints",
    "mkdir step-00000002",
    "rmdir step-00000001",
]


def _enumerate(how: str, repository: Path, folder: Path, every: int) -> dict:
    script = repository / "tests" / "federation_kill_points.py"
    done = subprocess.run(
        [sys.executable, str(script), str(folder), how, str(every)],
        env={**os.environ, "PYTHONPATH": str(repository)},
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    ("how", "every"),
    [
        ("kill", 17),
        pytest.param("kill", 1, marks=[pytest.mark.slow, pytest.mark.timeout(900)]),
        pytest.param("full", 1, marks=[pytest.mark.slow, pytest.mark.timeout(900)]),
    ],
)
def test_killed_at_any_effect_or_out_of_space_it_resumes_with_the_same_bits(
    repository, tmp_path, how, every
):
    """Parameters, account, journal, rounds, clients and the files' names."""
    found = _enumerate(how, repository, tmp_path, every)
    assert found["failures"] == []
    if (how, every) == ("kill", 1):
        assert set(AMONG) <= found["effects"].keys()
        assert sum(found["effects"].values()) > 80

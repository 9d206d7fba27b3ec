"""A search whose driver is killed at any effect on the disk ends, resumed, as one that was not."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

# What must have been among the effects: the kind, and the file or folder that it is about.
OF_A_SEARCH = [
    "open study.journal",
    "rename config.toml",
    "write metrics.jsonl",  # a record of a trial, or of an epoch
    "rename tracking.json",
    "mkdir trial-0000",
    "mkdir trial-0001",
    "rename run.json",
    "rename manifest.json",
    "rename result.json",
    "rename trials.parquet",
    "rename best.toml",
]
OF_A_HANDOVER = ["mkdir .adopted.part", "rename adopted", "rmdir checkpoints", "rename checkpoints"]


@pytest.mark.timeout(900)
def test_killed_anywhere_and_resumed_no_trial_is_lost_and_none_counted_twice(repository, folder):
    """What was completed stays as it was, what was interrupted ends with the same bits, trackers
    have a record a trial; and a checkpoint that was being handed over is the one or the other.
    """
    done = subprocess.run(
        [sys.executable, str(repository / "tests" / "search_kill_points.py"), str(folder)],
        env={**os.environ, "PYTHONPATH": str(repository)},
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    for name, among, least in (("search", OF_A_SEARCH, 50), ("handover", OF_A_HANDOVER, 12)):
        effects = found[name]["effects"]
        sys.stdout.write(f"{name}: {sum(effects.values())} times, {found[name]['seconds']} s\n")
        assert found[name]["failures"] == []
        assert set(among) <= effects.keys()
        assert sum(effects.values()) >= least

"""A process that gets nowhere ends by itself and says where it stood; one that moves does not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from qstore_ray.train.loop.reducer import LocalReducer
from qstore_ray.train.ray.watchdog import dump_sizes, stack_dumps, watched

# Adds up for as long as the first number says, then ends or waits for ever; under a deadline.
WORKER = """
import sys, threading, time
from pathlib import Path
import numpy as np
from qstore_ray.train.loop.reducer import LocalReducer
from qstore_ray.train.ray.watchdog import watched

def stand_still():
    threading.Event().wait()

with watched(LocalReducer(), Path(sys.argv[1]), float(sys.argv[4])) as reducer:
    end = time.monotonic() + float(sys.argv[2])
    while time.monotonic() < end:
        reducer.all_reduce(np.ones(3))
        time.sleep(0.01)
    print("moved", flush=True)
    if sys.argv[3] == "hang":
        stand_still()
"""


def _work(folder: Path, seconds: float, then: str, deadline: float, repository: Path) -> int:
    """The exit code."""
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(folder), str(seconds), then, str(deadline)],
        env={**os.environ, "PYTHONPATH": str(repository)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "moved\n"
    process.communicate()
    return process.returncode


def test_who_stands_still_ends_and_says_where(tmp_path, repository):
    assert _work(tmp_path, 0.1, "hang", 1.0, repository) == 1
    (dump,) = stack_dumps(tmp_path).values()
    assert stack_dumps(tmp_path, dump_sizes(tmp_path)) == {}
    assert dump.name == "stuck-worker-0.txt"
    assert "in stand_still" in dump.read_text()


def test_who_moves_lives_for_longer_than_the_deadline(tmp_path, repository):
    assert _work(tmp_path, 6.0, "end", 3.0, repository) == 0
    assert stack_dumps(tmp_path) == {}
    assert list(tmp_path.iterdir()) == [], "the empty file is gone"


def test_without_a_deadline_nothing_is_watched(tmp_path):
    reducer = LocalReducer()
    with watched(reducer, tmp_path, 0.0) as same:
        assert same is reducer
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("how", ["all_reduce", "broadcast"])
def test_sums_pass_through(tmp_path, how):
    values = np.arange(3.0)
    with watched(LocalReducer(), tmp_path, 60.0) as reducer:
        assert (reducer.rank, reducer.world_size) == (0, 1)
        np.testing.assert_array_equal(getattr(reducer, how)(values), values)

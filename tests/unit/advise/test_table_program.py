"""The program that measures the table: killed anywhere and started again, it ends with the same."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

PROGRAM = Path(__file__).parents[3] / "benchmarks" / "advice_table.py"
SCOPE = ("--data-sets", "iris_60", "--candidates", "3", "--folds", "2")
TIMED = {"seconds", "peak_mb", "engine_seconds"}
LIMIT_S = 240.0


def start(folder: Path) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-W", "ignore", str(PROGRAM), *SCOPE, "--folder", str(folder)]
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(words, stdout=log, stderr=log, env={**os.environ})


def finished(folder: Path) -> list[dict[str, object]]:
    assert start(folder).wait(LIMIT_S) == 0, (folder / "log").read_text()
    table = pq.read_table(folder / "table.parquet")
    return [
        {name: value for name, value in row.items() if name not in TIMED}
        for row in table.to_pylist()
    ]


def kill_after(folder: Path, lines: int) -> None:
    """SIGKILL as soon as there are so many rows."""
    process, rows = start(folder), folder / "rows.jsonl"
    end = time.monotonic() + LIMIT_S
    while time.monotonic() < end and process.poll() is None:
        if rows.exists() and rows.read_bytes().count(b"\n") >= lines:
            process.send_signal(signal.SIGKILL)
        time.sleep(0.005)
    assert process.wait(LIMIT_S) == -signal.SIGKILL


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_table_that_was_killed_twice_is_the_one_that_was_not(tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    for folder in (whole, broken):
        folder.mkdir()
    kill_after(broken, 3)
    with (broken / "rows.jsonl").open("ab") as file:
        file.write(b'{"kind": "quantum", "model": "ang')  # as a write that was cut leaves it
    kill_after(broken, 8)
    expected, found = finished(whole), finished(broken)
    assert found == expected
    assert len(expected) == 2 * 7
    assert all(row["balanced_accuracy"] is not None for row in expected)

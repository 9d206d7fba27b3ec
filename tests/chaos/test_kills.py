"""A training that is killed again and again, under a fault of its machine, ends with the same bits.

Here are a few kills; `make chaos` has many, and the faults that need a cluster. Kills at every
effect on the disk, and a disk that is full at each, are in `tests/laws/test_kill.py`.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

MANY = os.environ.get("CHAOS") == "1"


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "fault",
    ["none", "streamed", *(pytest.param(f, marks=pytest.mark.slow) for f in ("clock", "slow"))],
)
def test_every_batch_is_applied_once_whatever_is_killed(fault: str, repository: Path, folder: Path):
    seed = secrets.randbelow(2**32) if MANY else 7
    command = [sys.executable, "-m", "tests.chaos.kills", str(folder), fault]
    done = subprocess.run(
        [*command, "25" if MANY else "2", str(seed)],
        cwd=repository, env={**os.environ, "PYTHONPATH": str(repository)},
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, f"seed {seed}: {done.stderr[-3000:]}"
    assert json.loads(done.stdout.splitlines()[-1])["kills"] > 0

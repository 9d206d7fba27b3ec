"""The examples that search, as they stand: each starts a Ray of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from qstore_ray.train.run.summary import read_record

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def _run(script: str, *words: str, cwd: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": str(EXAMPLES.parent)}
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / script), *words],
        cwd=cwd,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "script", [pytest.param("tuning.py", marks=pytest.mark.slow), "workflow.py"]
)
def test_a_search_ends_with_a_good_model(script, tmp_path):
    out = _run(script, cwd=tmp_path)
    (accuracy,) = re.findall(r"^test accuracy ([\d.]+)$", out, re.MULTILINE)
    (run,) = re.findall(r"^run folder +(\S+)$", out, re.MULTILINE)
    assert float(accuracy) > 0.8
    metrics = read_record(Path(run)).metrics
    assert metrics["test_accuracy"] == pytest.approx(float(accuracy), abs=0.0006)
    assert Path(run).is_relative_to(tmp_path)

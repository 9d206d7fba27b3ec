"""The examples run as they stand, and train something that beats guessing."""

from __future__ import annotations

import json
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
TEXTS = {path.name: path.read_text("utf-8") for path in sorted(EXAMPLES.glob("*.py"))}
SCRIPTS = [name for name, text in TEXTS.items() if "Tuner(" not in text]  # tests/ray has the others
WITH_OPTIONS = [name for name, text in TEXTS.items() if "argparse" in text]
JOBS = sorted(path.name for path in EXAMPLES.glob("*.toml"))


def _run(*words: str, cwd: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": str(EXAMPLES.parent)}
    done = subprocess.run(
        [sys.executable, *words],
        cwd=cwd,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_prints_a_good_accuracy(script, tmp_path):
    out = _run(str(EXAMPLES / script), cwd=tmp_path)
    (accuracy,) = re.findall(r"^test accuracy ([\d.]+)$", out, re.MULTILINE)
    assert float(accuracy) > 0.85
    if "Trainer(" not in TEXTS[script]:
        assert list(tmp_path.iterdir()) == []
        return
    (run,) = re.findall(r"^run folder +(\S+)$", out, re.MULTILINE)
    assert (Path(run) / "figures").is_dir()
    assert Path(run).is_relative_to(tmp_path)


@pytest.mark.parametrize("script", WITH_OPTIONS)
def test_a_script_explains_its_options(script, tmp_path, monkeypatch, capsys):
    """Before it does anything; in this process, which has imported what the script imports."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [script, "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(EXAMPLES / script), run_name="__main__")
    assert not ended.value.code
    assert "--help" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("job", JOBS)
def test_a_job_trains(job, tmp_path):
    words = ["-m", "qstore_ray", "train", f"examples/{job}", "--storage", str(tmp_path)]
    out = _run(*words, "--set", "track.mlflow=false", "--json", cwd=EXAMPLES.parent)
    result = json.loads(out.splitlines()[-1])
    assert result["test_accuracy"] > 0.85
    assert Path(result["run_dir"]).is_relative_to(tmp_path)

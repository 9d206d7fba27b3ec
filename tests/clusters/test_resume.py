"""`qstore-resume`: one command starts a run, resumes it, and leaves a finished one alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.clusters.manifests import ROOT

PROGRAM = ROOT / "clusters/qstore-resume"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of runs, beside a `qstore` that only prints its arguments."""
    program = tmp_path / "bin/qstore"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho "$@"\nexit 5\n')
    program.chmod(0o755)
    (tmp_path / "runs/digits").mkdir(parents=True)
    return tmp_path


def _run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    path = f"{folder / 'bin'}:{os.environ['PATH']}"
    return subprocess.run(
        [sys.executable, PROGRAM, *words], env={"PATH": path}, cwd=folder, check=False,
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("file", "content", "resumes"),
    [
        (None, "", False),
        ("run.json", json.dumps({"status": "interrupted"}), True),
        ("run.json", json.dumps({"status": "failed"}), True),
        ("study.journal", "", True),
    ],
)
def test_it_resumes_what_exists(folder: Path, file: str | None, content: str, resumes: bool):
    if file is not None:
        (folder / "runs/digits" / file).write_text(content)
    words = ["train", "job.toml", "--name", "digits", "--storage=runs"]
    done = _run(folder, *words)
    assert done.stdout.split() == words + ["--resume"] * resumes
    assert done.returncode == 5  # of qstore itself


def test_a_finished_run_is_a_success(folder: Path):
    (folder / "runs/digits/run.json").write_text(json.dumps({"status": "finished"}))
    done = _run(folder, "train", "job.toml", "--name", "digits", "--storage", "runs")
    assert (done.returncode, done.stdout) == (0, "")
    assert "has finished" in done.stderr


@pytest.mark.parametrize("form", ["file://{}", "file:{}", "file://localhost{}"])
def test_a_file_address_is_its_folder(folder: Path, form: str):
    (folder / "runs/digits/run.json").write_text(json.dumps({"status": "failed"}))
    words = ["train", "job.toml", "--name", "digits", "--storage", form.format(folder / "runs")]
    assert _run(folder, *words).stdout.split() == [*words, "--resume"]


@pytest.mark.parametrize("missing", ["--name", "--storage"])
def test_it_asks_for_what_it_needs(folder: Path, missing: str):
    given = {"--name": "digits", "--storage": "runs"}
    del given[missing]
    done = _run(folder, "train", "job.toml", *(word for pair in given.items() for word in pair))
    assert done.returncode == 2
    assert missing in done.stderr


@pytest.mark.parametrize(
    ("code", "said", "expected"),
    [
        (2, "", (5, False)),
        (0, '{"status": "killed"}', (5, True)),
        (0, '{"status": "finished"}', (0, None)),
        (4, "no bucket", (4, None)),
    ],
)
def test_it_asks_an_object_store(
    folder: Path, code: int, said: str, expected: tuple[int, bool | None]
):
    """`qstore runs show` says how the run stands; None: `qstore train` is not started."""
    (folder / "bin/qstore").write_text(
        f"#!/bin/sh\nif [ $1 = runs ]; then echo '{said}'; exit {code}; fi\necho \"$@\"\nexit 5\n"
    )
    words = ["train", "job.toml", "--name", "digits", "--storage", "s3://bucket/runs"]
    done = _run(folder, *words)
    assert done.returncode == expected[0]
    started = None if not done.stdout else done.stdout.split()[-1] == "--resume"
    assert started == expected[1]
    assert code != 4 or "no bucket" in done.stderr

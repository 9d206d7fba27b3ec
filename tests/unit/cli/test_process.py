"""`qstore` as a process of its own: streams, signals, exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from qstore_ray.cli.app import main

JOB = """
name = "iris"
storage = "runs"

[dataset]
name = "iris"
params = { dataset = "iris" }
preprocessing = [{ name = "minmax" }]

[model]
layers = 1

[trainer]
epochs = 200
checkpoint_every_epochs = 100

[track]
mlflow = false
figures = false
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "iris.toml").write_text(JOB, encoding="utf-8")
    return tmp_path


def _start(folder: Path, repository: Path, *words: str) -> subprocess.Popen[str]:
    code = f"import sys; sys.path.insert(0, {str(repository)!r}); sys.argv[0] = 'qstore'; "
    code += "from qstore_ray.cli.entry import main; sys.exit(main())"
    return subprocess.Popen(
        [sys.executable, "-c", code, *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _wait_for_the_first_epoch(process: subprocess.Popen[str], run: Path) -> None:
    while '"event":"epoch"' not in _text(run / "metrics.jsonl"):
        try:
            process.wait(timeout=0.02)
        except subprocess.TimeoutExpired:
            continue
        pytest.fail(f"ended before its first epoch: {process.communicate()}")


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8") if file.exists() else ""


def test_an_interrupted_run_exits_with_5_and_resume_finishes_it(folder, repository, capsys):
    run = folder / "runs" / "iris"
    process = _start(folder, repository, "train", "iris.toml", "--json")
    _wait_for_the_first_epoch(process, run)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert process.returncode == 5, err
    error = json.loads(out)
    assert error["error"] == "InterruptedRunError"
    assert "--resume" in error["fix"]
    assert "Traceback" not in err
    assert list((run / "checkpoints").glob("step-*/manifest.json"))
    assert json.loads(_text(run / "run.json"))["status"] == "interrupted"

    again = ["train", str(folder / "iris.toml"), "--storage", str(folder / "runs")]
    assert main(again) == 2
    assert "--resume continues it" in capsys.readouterr().err
    assert main([*again, "--resume", "--set", "trainer.learning_rate=0.2"]) == 2
    assert "the run was started with 0.05" in capsys.readouterr().err

    resumed = _start(folder, repository, "train", "iris.toml", "--resume", "--json")
    out, err = resumed.communicate()
    assert resumed.returncode == 0, err
    *_, last = out.splitlines()
    assert json.loads(last)["epochs"] == 200
    assert json.loads(last)["run_dir"] == str(run)
    assert len(out.splitlines()) == 1, "stdout has the result only"
    assert "epoch" in err, "progress is on stderr"
    assert "\x1b" not in out + err, "no colours without a terminal"


def test_a_reader_that_goes_away_is_no_error(folder, repository):
    process = _start(folder, repository, "config", "schema")
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    err = process.stderr.read()
    assert (process.wait(), err) == (0, "")


def test_the_package_runs_as_a_module(repository):
    done = subprocess.run(
        [sys.executable, "-m", "qstore_ray", "trian"],
        cwd=repository,
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "Did you mean 'train'" in done.stderr


def _shell(folder: Path, repository: Path, words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", f"{sys.executable} -m qstore_ray {words}"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(repository)},
        check=False,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize(("words", "code"), [("--version", 0), ("trian", 2)])
def test_a_stream_that_is_closed_changes_no_exit_code(folder, repository, words, code, closed):
    done = _shell(folder, repository, f"{words} {closed}")
    assert done.returncode == code
    assert "Traceback" not in done.stderr


def test_a_training_without_any_stream_leaves_its_files_alone(folder, repository):
    words = "train iris.toml --epochs 2 --set track.figures=true <&- >&- 2>&-"
    assert _shell(folder, repository, words).returncode == 0
    records = (folder / "runs" / "iris" / "metrics.jsonl").read_text(encoding="utf-8")
    assert all(json.loads(line) for line in records.splitlines())


@pytest.mark.parametrize("words", ["config schema", "tune --help"])
def test_a_result_that_cannot_be_written_is_an_error(folder, repository, words):
    done = _shell(folder, repository, f"{words} >/dev/full")
    assert done.returncode == 2
    assert "No space left" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("words", ["--help", "train -h", "runs"])
def test_help_to_a_reader_that_went_away_is_no_error(folder, repository, words):
    done = _shell(folder, repository, f"{words} | true; exit ${{PIPESTATUS[0]}}")
    assert (done.returncode, done.stderr.replace("There are no runs in runs.\n", "")) == (0, "")


def test_a_note_that_cannot_be_written_is_none(folder, repository):
    done = _shell(folder, repository, "train iris.toml --epochs 2 --json 2>/dev/full")
    assert done.returncode == 0
    assert json.loads(done.stdout)["status"] == "finished"

"""`qstore train` where something is wrong with the world: locale, paths, home, disk, patience."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from qstore_ray.cli.app import main
from qstore_ray.track.jsonl import read_records
from qstore_ray.train.run.checkpoint import latest_checkpoint

JOB = """
name = "iris"

[dataset]
name = "iris"
params = { dataset = "iris" }
preprocessing = [{ name = "minmax" }]

[model]
layers = 1

[trainer]
epochs = 3

[track]
mlflow = false
figures = false
"""


@pytest.fixture
def job(tmp_path: Path) -> Path:
    path = tmp_path / "iris.toml"
    path.write_text(JOB, encoding="utf-8")
    return path


def _qstore(repository: Path, folder: Path, *words: str, **options) -> subprocess.Popen[str]:
    """`qstore` as a process without a terminal."""
    environment = {**os.environ, "PYTHONPATH": str(repository), **options.pop("environment", {})}
    return subprocess.Popen(
        [sys.executable, "-m", "qstore_ray", *words],
        cwd=folder, env=environment, text=True, encoding="utf-8",
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options,
    )  # fmt: skip


def _state(run: Path) -> dict[str, bytes]:
    found, problems = latest_checkpoint(run / "checkpoints")
    assert found is not None
    assert not problems
    return {name: array.tobytes() for name, array in found.arrays.items()}


# ------------------------------------------------------------------------------- an odd environment

PLAIN = {"NO_COLOR": "1", "LC_ALL": "C", "HOME": "/proc"}  # nobody can write there, not even root
NOT_UTF8 = {**PLAIN, "PYTHONUTF8": "0"}


@pytest.mark.parametrize(
    ("folder", "environment"),
    [("größe 量子", PLAIN), ("with spaces", NOT_UTF8)],
    ids=["letters", "ASCII only"],
)
def test_locale_home_terminal_and_path_do_not_matter(job, repository, folder, environment):
    (job.parent / folder).mkdir()
    storage = (
        f"{folder}/../{folder}/rüns" if folder.startswith("g") else f"{folder}/../{folder}/a b"
    )
    words = ("train", f"{folder}/../iris.toml", "--storage", storage, "--json")
    words += ("--set", "track.figures=true")
    process = _qstore(repository, job.parent, *words, environment=environment)
    out, err = process.communicate()
    assert process.returncode == 0, err
    run = (job.parent / storage / "iris").resolve()
    assert json.loads(out)["run_dir"] == str(run)
    assert len(list((run / "figures").iterdir())) > 0
    assert "\x1b" not in out + err


def test_letters_that_the_locale_cannot_read_are_refused(job, repository):
    words = ("train", "iris.toml", "--storage", "größe", "--json", "--quiet")
    process = _qstore(repository, job.parent, *words, environment=NOT_UTF8)
    out, _ = process.communicate()
    assert process.returncode == 2
    error = json.loads(out)
    assert error["field"] == "storage"
    assert "PYTHONUTF8=1" in error["fix"]
    assert list(job.parent.iterdir()) == [job]


# ------------------------------------------------------------------------------------- no more room


def test_a_file_that_may_grow_no_further_ends_the_run_and_resume_goes_on(job, repository, capsys):
    """The system's own limit on files stands for a quota; it hits the checkpoint first."""
    limit = 4_100

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

    words = ("train", "iris.toml", "--storage", "s", "--json", "--quiet")
    # coverage.py's own record does not fit either, and it would say so.
    unmeasured = {"COVERAGE_PROCESS_CONFIG": ""}
    process = _qstore(repository, job.parent, *words, environment=unmeasured, preexec_fn=limited)
    out, err = process.communicate()
    assert process.returncode == 1, err
    error = json.loads(out)
    assert error["error"] == "CheckpointError"
    assert "File too large" in error["message"]
    assert "--resume" in error["fix"]
    assert "Traceback" not in err
    run = job.parent / "s" / "iris"
    assert not list(run.rglob("*.part"))
    assert main(["train", str(job), "--storage", str(job.parent / "s"), "--resume", "--quiet"]) == 0
    assert main(["train", str(job), "--storage", str(job.parent / "t"), "--quiet"]) == 0
    assert _state(run) == _state(job.parent / "t" / "iris")
    capsys.readouterr()


def test_a_folder_that_cannot_be_written_to_is_refused(job, capsys):
    words = ["train", str(job), "--storage", "/proc/runs", "--json", "--quiet"]
    assert main(words) == 1
    error = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (error["error"], error["field"]) == ("RunError", "storage")
    assert "give another folder" in error["fix"]


# -------------------------------------------------------------------------------- no more patience


def test_a_budget_stops_the_run_with_5_and_a_larger_one_goes_on(job, capsys):
    def train(storage: str, *more: str) -> int:
        return main(["train", str(job), "--storage", str(job.parent / storage), "--json",
                     "--quiet", *more])  # fmt: skip

    budget = 'trainer.callbacks=[{{name="budget",circuits={}}}]'
    assert train("whole") == 0
    capsys.readouterr()
    assert train("parts", "--set", budget.format(150)) == 5
    error = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert error["error"] == "InterruptedRunError"
    assert "budget of 150 circuits is used up" in error["message"]
    assert "--resume" in error["fix"]
    assert train("parts", "--resume", "--set", budget.format(150)) == 5, "it is still used up"
    assert train("parts", "--resume", "--set", budget.format(10**6)) == 0
    whole, parts = (_state(job.parent / name / "iris") for name in ("whole", "parts"))
    own = {name for name in parts if name.startswith("callback.")}
    assert {name: bits for name, bits in parts.items() if name not in own} == whole
    capsys.readouterr()


SLOW = """
import sys, time
from pathlib import Path
from qstore_ray import DatasetConfig, DatasetLoader, ModelConfig, QuantumTrainer
from qstore_ray import TrackConfig, TrainerConfig
from qstore_ray.errors import QStoreError
from qstore_ray.train.callbacks import Callback

class Waits(Callback):
    def on_batch_end(self, run, batch):
        if run.state.step == 4:
            Path(sys.argv[1], "waiting").touch()
            time.sleep(600)

trainer = QuantumTrainer(
    ModelConfig(n_qubits=4, layers=1), TrainerConfig(epochs=2, batch_size=40), name="run",
    storage=sys.argv[1], track=TrackConfig(mlflow=False, figures=False), callbacks=[Waits()],
)
try:
    trainer.fit(DatasetLoader.load(DatasetConfig(name="iris", params={"dataset": "iris"})))
except QStoreError as error:
    print(error)
    sys.exit(error.exit_code)
"""


def test_a_second_ctrl_c_ends_a_run_that_does_not_come_to_the_end_of_a_step(tmp_path, repository):
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(repository)},
        text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    while not (tmp_path / "waiting").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1)  # the first one asks for the end of the step
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 5, err
    assert "existing='resume'" in out
    assert "Traceback" not in err
    run = tmp_path / "run"
    assert json.loads((run / "run.json").read_text())["status"] == "interrupted"
    assert read_records(run / "metrics.jsonl")[-1]["status"] == "interrupted"
    found, problems = latest_checkpoint(run / "checkpoints")
    assert found is not None
    assert not problems


def test_a_second_run_in_the_same_folder_is_refused_while_the_first_goes_on(
    job, repository, capsys
):
    first = _qstore(repository, job.parent, "train", "iris.toml", "--epochs", "5000", "--quiet")
    run = job.parent / "runs" / "iris"
    while not (run / "metrics.jsonl").exists():
        assert first.poll() is None, first.communicate()
        time.sleep(0.02)
    for flag in ("--resume", "--fresh"):
        words = ["train", str(job), "--storage", str(job.parent / "runs"), flag, "--json"]
        assert main([*words, "--epochs", "5000", "--quiet"]) == 2
        error = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert error["error"] == "RunExistsError"
        assert "another process" in error["message"]
    first.send_signal(signal.SIGTERM)
    _, err = first.communicate()
    assert first.returncode == 5, err

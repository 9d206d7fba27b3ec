"""`qstore tune` as a process with a Ray of its own: killed, interrupted, and brought to its end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import ray

from qstore_ray.cli.app import main
from qstore_ray.errors import InterruptedRunError
from qstore_ray.job import JobConfig
from qstore_ray.track.config import default_uri
from qstore_ray.track.jsonl import epoch_records, read_records
from qstore_ray.train.run.writing import read_run_record
from qstore_ray.tune.study.result import StudyResult, read_result
from tests.small_search import SPACE, TABLE

TRIALS = 4
EPOCHS = 200
RUNS = ["trial-0000", "trial-0001", "trial-0003", "trial-0005"]
"""Of trials, by their first number; those that were repeated have two numbers."""
LONGEST = 240.0
UNHURRIED = """
import time
from qstore_ray.config import Config
from qstore_ray.train.callbacks.base import Callback


class Unhurried(Config, Callback):
    def on_epoch_end(self, run, record):
        go = run.run_dir.parent.parent / f"go-{run.run_dir.name}"
        if run.run_dir.name in ("trial-0001", "trial-0003") and not go.exists():
            time.sleep(0.2 if record["epoch"] > 10 else 0.0)
"""
"""A callback by which two of the trials take 38 s, until the test lets them go on."""
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds the job file, and a package with the callback that it names."""
    place = tmp_path_factory.mktemp("tune")
    (place / "unhurried.py").write_text(UNHURRIED)
    (place / "unhurried-1.0.dist-info").mkdir()
    (place / "unhurried-1.0.dist-info" / "entry_points.txt").write_text(
        "[qstore_ray.callbacks]\nunhurried = unhurried:Unhurried\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(place))
        _write_job(place)
    return place


def _write_job(place: Path) -> None:
    trainer = {**TABLE["trainer"], "epochs": EPOCHS, "checkpoint_every_epochs": 5}
    trainer |= {"callbacks": [{"name": "unhurried"}]}
    tune = {
        "space": SPACE, "trials": TRIALS, "sampler": "random", "concurrency": 1,
        "objectives": [{"metric": "val_accuracy"}], "refit": True, "register_as": "flowers",
    }  # fmt: skip
    track = {"mlflow": True, "figures": False}
    tables = {**TABLE, "storage": str(place), "trainer": trainer, "tune": tune, "track": track}
    (place / "job.toml").write_text(JobConfig.from_dict(tables).to_toml(), encoding="utf-8")


@pytest.fixture
def start(folder: Path, repository: Path) -> Iterator[Start]:
    """Starts drivers; one that still runs at the end is killed."""
    drivers: list[subprocess.Popen[str]] = []

    def begin(*words: str) -> subprocess.Popen[str]:
        drivers.append(_driver(folder, repository, *words))
        return drivers[-1]

    yield begin
    for driver in drivers:
        if driver.poll() is None:
            driver.kill()
        driver.communicate()


def _driver(folder: Path, repository: Path, *words: str) -> subprocess.Popen[str]:
    code = f"import sys; sys.path.insert(0, {str(repository)!r}); sys.argv[0] = 'qstore'; "
    code += "from qstore_ray.cli.app import main; sys.exit(main())"
    return subprocess.Popen(
        [sys.executable, "-c", code, "tune", str(folder / "job.toml"), "--json", "--quiet", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        stdout=subprocess.PIPE,
        stderr=(folder / "stderr.txt").open("w"),
        text=True,
        start_new_session=True,
    )


def _wait_for(condition: Callable[[], bool], driver: subprocess.Popen[str]) -> None:
    end, pause = time.monotonic() + LONGEST, threading.Event()
    while not condition():
        assert time.monotonic() < end
        assert driver.poll() is None, driver.communicate()[0]
        pause.wait(0.02)


def _epochs(run: Path) -> list[int]:
    return [int(r["epoch"]) for r in epoch_records(read_records(run / "metrics.jsonl"))]


def _is_training(folder: Path, trial: str) -> bool:
    run = folder / "s" / trial
    kept = list(run.glob("checkpoints/step-*/manifest.json"))
    return bool(kept) and len(_epochs(run)) > 10


def _counted(result: StudyResult) -> dict[str, tuple]:
    """Run folder → what a trial that was completed tried and found."""
    return {t.run: (t.parameters, t.objectives) for t in result.trials if t.status == "completed"}


@pytest.mark.timeout(900)
def test_killed_then_interrupted_then_resumed_it_ends_with_every_trial_once(folder, start):
    driver = start()
    _wait_for(lambda: _is_training(folder, "trial-0001"), driver)
    os.kill(driver.pid, signal.SIGKILL)
    assert driver.wait(LONGEST) == -signal.SIGKILL
    killed = read_result(folder, "s")
    assert [trial.status for trial in killed.trials] == ["completed", "running"]

    driver = start("--resume")
    _wait_for(lambda: len(_starts(folder / "s" / "trial-0001")) == 2, driver)
    (folder / "go-trial-0001").touch()
    third = "trial-0003"  # number 2 was the repetition of number 1, in its run folder
    _wait_for(lambda: _is_training(folder, third), driver)
    os.killpg(driver.pid, signal.SIGINT)  # as a terminal does, to all that run in it
    said, _ = driver.communicate(timeout=LONGEST)
    assert driver.returncode == InterruptedRunError.exit_code
    assert json.loads(said.splitlines()[-1])["error"] == "InterruptedRunError"
    stopped = read_result(folder, "s")
    assert stopped.statuses == {"completed": 2, "interrupted": 1, "running": 1}
    assert read_run_record(folder / "s" / third)["status"] == "interrupted"
    assert not (folder / "s" / ".ray").exists()
    assert _counted(killed).items() <= _counted(stopped).items()
    _, continued = _starts(folder / "s" / "trial-0001")
    assert continued["resumed_from_step"] > 0, "from its checkpoint"

    (folder / f"go-{third}").touch()
    driver = start("--resume")
    said, _ = driver.communicate(timeout=LONGEST)
    assert driver.returncode == os.EX_OK, (folder / "stderr.txt").read_text()
    found = json.loads(said.splitlines()[-1])
    result = read_result(folder, "s")
    assert found["best"]["trial"] == result.best[0]
    assert result.statuses == {"completed": TRIALS, "interrupted": 2}
    assert _counted(stopped).items() <= _counted(result).items()
    assert sorted(_counted(result)) == RUNS
    for run in _counted(result):
        assert _epochs(folder / "s" / run) == list(range(EPOCHS)), "every epoch once"
    records = epoch_records(read_records(folder / "s" / "metrics.jsonl"))
    completed = [t.number for t in result.trials if t.status == "completed"]
    assert sorted(record["trial"] for record in records) == completed


def _starts(run: Path) -> list[dict]:
    return [r for r in read_records(run / "metrics.jsonl") if r["event"] == "start"]


def test_mlflow_then_has_the_study_and_each_trial_once_and_the_model_is_registered(folder):
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=default_uri(folder))
    (experiment,) = [e for e in client.search_experiments() if e.name != "Default"]
    runs = client.search_runs([experiment.experiment_id])
    (study,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    children = [run for run in runs if run.info.run_id != study.info.run_id]
    assert sorted(run.info.run_name for run in children) == [
        "refit",
        *RUNS,
    ]
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {study.info.run_id}
    assert {run.info.status for run in runs} == {"FINISHED"}
    (version,) = client.search_model_versions("name='flowers'")
    (refit,) = [run for run in children if run.info.run_name == "refit"]
    assert version.run_id == refit.info.run_id
    assert read_run_record(folder / "s" / "refit")["status"] == "finished"
    assert (folder / "s" / "refit" / "refit.txt").exists()


def test_once_it_is_done_resuming_it_starts_nothing(folder, capsys, monkeypatch):
    monkeypatch.setattr(ray, "init", None)  # Ray is not started either
    monkeypatch.syspath_prepend(str(folder))
    before = (folder / "s" / "study.journal").read_bytes()
    assert main(["tune", str(folder / "job.toml"), "--resume", "--json", "--quiet"]) == os.EX_OK
    assert (folder / "s" / "study.journal").read_bytes() == before
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["status"] == "finished"

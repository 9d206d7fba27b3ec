"""`qstore tune` on a Ray of its own, ended as process managers and closing terminals do it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from qstore_ray.errors import InterruptedRunError
from qstore_ray.job import JobConfig
from qstore_ray.track.base import RunInfo
from qstore_ray.track.jsonl import epoch_records, read_records
from qstore_ray.train.run.writing import read_run_record
from qstore_ray.tune.study.result import read_result
from tests.small_search import SPACE, TABLE

LONGEST = 240.0


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """A search whose first trial trains for long enough to be stopped in it."""
    trainer = {**TABLE["trainer"], "epochs": 20_000, "checkpoint_every_epochs": 5}
    tune = {"space": SPACE, "trials": 2, "sampler": "random", "concurrency": 1}
    tables = {**TABLE, "storage": str(tmp_path), "trainer": trainer, "tune": tune}
    (tmp_path / "job.toml").write_text(JobConfig.from_dict(tables).to_toml(), encoding="utf-8")
    return tmp_path / "job.toml"


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda n: n.name)
def test_a_signal_to_the_whole_group_stops_a_search_at_its_checkpoints(
    job: Path, repository: Path, number: signal.Signals
):
    driver = subprocess.Popen(
        [sys.executable, "-m", "qstore_ray", "tune", str(job), "--json", "--quiet"],
        cwd=job.parent,
        env={**os.environ, "PYTHONPATH": str(repository)},
        stdout=subprocess.PIPE,
        stderr=(job.parent / "stderr.txt").open("w"),
        text=True,
        start_new_session=True,
    )
    trial, pause = job.parent / "s" / "trial-0000", threading.Event()
    try:
        while len(epoch_records(read_records(trial / "metrics.jsonl"))) < 10:
            assert driver.poll() is None, (job.parent / "stderr.txt").read_text()
            pause.wait(0.05)
        os.killpg(driver.pid, number)
        said, _ = driver.communicate(timeout=LONGEST)
    finally:
        if driver.poll() is None:
            os.killpg(driver.pid, signal.SIGKILL)
    assert driver.returncode == InterruptedRunError.exit_code
    assert json.loads(said.splitlines()[-1])["error"] == "InterruptedRunError"
    assert "Traceback" not in (job.parent / "stderr.txt").read_text()
    assert read_result(job.parent, "s").statuses == {"running": 1}
    assert read_run_record(trial)["status"] == "interrupted"
    _, outcome = RunInfo.load(job.parent / "s")
    assert outcome is not None
    assert outcome.status == "interrupted"


def _tune(job: Path, repository: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "qstore_ray", "tune", str(job), "--json", "--quiet", *options],
        cwd=job.parent,
        env={**os.environ, "PYTHONPATH": str(repository)},
        stdout=subprocess.PIPE,
        stderr=(job.parent / "stderr.txt").open("w"),
        text=True,
        start_new_session=True,
    )


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("reached", ["result.json", "refit/metrics.jsonl"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda n: n.name)
def test_a_search_that_is_stopped_after_its_trials_keeps_its_best(
    tmp_path: Path, repository: Path, reached: str, number: signal.Signals
):
    trainer = {**TABLE["trainer"], "epochs": 300}
    tune = {"space": SPACE, "trials": 1, "sampler": "random", "refit": True}
    split = {"train": 0.6, "val": 0.2, "test": 0.2}
    tables = {**TABLE, "storage": str(tmp_path), "trainer": trainer, "tune": tune}
    tables |= {
        "track": {"mlflow": False, "figures": False},
        "dataset": {**TABLE["dataset"], "split": split},
    }
    job = tmp_path / "job.toml"
    job.write_text(JobConfig.from_dict(tables).to_toml(), encoding="utf-8")
    driver, pause = _tune(job, repository), threading.Event()
    try:
        while not (tmp_path / "s" / reached).exists():
            assert driver.poll() is None, (tmp_path / "stderr.txt").read_text()
            pause.wait(0.005)
        driver.send_signal(number)
        said, _ = driver.communicate(timeout=LONGEST)
    finally:
        if driver.poll() is None:
            os.killpg(driver.pid, signal.SIGKILL)
    assert driver.returncode == InterruptedRunError.exit_code
    error = json.loads(said.splitlines()[-1])
    assert error["error"] == "InterruptedRunError"
    assert "'refit'" not in error["fix"]
    assert "Traceback" not in (tmp_path / "stderr.txt").read_text()
    before = read_result(tmp_path, "s")
    resumed = _tune(job, repository, "--resume")
    said, _ = resumed.communicate(timeout=LONGEST)
    assert resumed.returncode == 0
    best = json.loads(said.splitlines()[-1])["best"]
    assert best["values"] == before.best_trials()[0].objectives
    assert read_result(tmp_path, "s").statuses == before.statuses == {"completed": 1}
    assert read_run_record(tmp_path / "s" / "refit")["status"] == "finished"


HANDLER = """
import signal
from qstore_ray.train.config import ClusterConfig
from qstore_ray.train.ray.session import ray_session

handler = lambda *_: None
signal.signal(signal.SIGTERM, handler)
with ray_session(ClusterConfig(), 0):
    assert signal.getsignal(signal.SIGTERM) is handler
assert signal.getsignal(signal.SIGTERM) is handler
"""


def test_ray_leaves_sigterm_to_whoever_handles_it(repository: Path):
    environment = {**os.environ, "PYTHONPATH": str(repository)}
    subprocess.run([sys.executable, "-c", HANDLER], env=environment, check=True, timeout=LONGEST)

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
from qstore_ray.train.run.run_folder import read_run_record
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

"""Trials that start workers of their own, ended early: what they held is there for the next ones.

Ray Train reserves its workers' room outside of what Ray Tune knows of. When Tune ends such a trial,
the reservation is given back by a process that needs Ray's dashboard. Without it, the room of two
trials would be lost here, and the others would wait for it for ever.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from qstore_ray.job import JobConfig
from tests.small_search import RATE, SPACE, TABLE

LONGEST = 600
RATES = (0.4, 0.3, 0.02, 0.015)


@pytest.mark.slow
@pytest.mark.timeout(LONGEST + 30)
def test_trials_that_are_ended_early_give_their_workers_room_back(tmp_path, repository):
    tune = {
        "space": SPACE, "trials": len(RATES), "points": [{RATE: rate} for rate in RATES],
        "sampler": "random", "objectives": [{"metric": "val_accuracy"}],
        "scheduler": "asha", "scheduler_options": {"grace_period": 2, "reduction_factor": 2},
        "workers_per_trial": 2,
    }  # fmt: skip
    trainer = {**TABLE["trainer"], "epochs": 8}
    cluster = {"cpus_per_worker": 1.0}
    tables = {**TABLE, "storage": str(tmp_path), "trainer": trainer, "cluster": cluster}
    job = tmp_path / "job.toml"
    job.write_text(JobConfig.from_dict({**tables, "tune": tune}).to_toml(), encoding="utf-8")
    words = [sys.executable, "-m", "qstore_ray", "tune", str(job), "--json", "--quiet"]
    done = subprocess.run(
        words, cwd=repository, capture_output=True, text=True, timeout=LONGEST, check=False
    )
    assert done.returncode == 0, done.stderr
    statuses = json.loads(done.stdout.splitlines()[-1])["trials"]
    assert sum(statuses.values()) == len(RATES)
    assert set(statuses) == {"completed", "pruned"}, "some were ended early, none failed"

"""A search that reaches its budget stops whole, and continues with a larger one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from qstore_ray.errors import BudgetReachedError
from qstore_ray.tune.study.result import read_result
from qstore_ray.tune.tuner import Tuner
from tests.ibm.launch import ROOT, in_thread
from tests.small_search import config_of, job_of


def search(storage: Path) -> None:
    """A search of three trials, one after another, of whose jobs the budget allows five."""

    def tuner(jobs: int) -> Tuner:
        options = {
            "device": "fake_manila",
            "shots": 16,
            "level": 1,
            "ledger": str(storage / "ledgers"),
            "policy": {"first_poll": 0.05, "longest_poll": 0.2},
            "budget": {"jobs": jobs},
        }
        job = job_of(storage, epochs=1, batch_size=90, backend="ibm", backend_options=options)
        return Tuner(job, config_of(trials=3, concurrency=1))

    def statuses() -> list[str]:
        return [trial.status for trial in read_result(storage, "s").trials]

    with pytest.raises(BudgetReachedError, match="may use 5 jobs") as caught:
        tuner(5).fit()
    assert (caught.value.field, caught.value.exit_code) == ("budget.jobs", 5)
    assert statuses()[0] == "completed"
    assert "failed" not in statuses()
    assert "running" in statuses()
    before = read_result(storage, "s").trials[0]
    assert (storage / "s" / "result.json").exists()
    result = tuner(100).fit(existing="resume")
    assert result.statuses["completed"] == 3, result.statuses
    assert result.trials[0].objectives == before.objectives


def test_a_search_that_reaches_its_budget_stops_and_continues_with_more(tmp_path):
    """In a process of its own: the actor has the variables of the process that started Ray."""
    with in_thread() as ibm:
        subprocess.run(
            [sys.executable, "-m", "tests.ray.test_ibm_budget_ray", str(tmp_path)],
            cwd=ROOT, env={**os.environ, **ibm.environment(tmp_path)}, check=True, timeout=240,
        )  # fmt: skip


if __name__ == "__main__":
    search(Path(sys.argv[1]))

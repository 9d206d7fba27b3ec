"""What `qstore health` says of paid jobs: budgets that are nearly used, jobs left open."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from qstore_ray.backends.ibm.forecast import HardwareCost
from qstore_ray.ops.health import hardware
from qstore_ray.train.run.lock import is_held

LIMITS = """
[trainer.backend_options.budget.run]
seconds = 100.0
executions = 1000
jobs = 10
"""


def _used(monkeypatch: pytest.MonkeyPatch, cost: HardwareCost) -> SimpleNamespace:
    spending = SimpleNamespace(of=lambda records: SimpleNamespace(total=cost))
    monkeypatch.setattr(hardware, "Spending", spending)
    return SimpleNamespace(records={})


@pytest.mark.parametrize(
    ("cost", "fields"),
    [
        (HardwareCost(jobs=8, executions=899, billed_seconds=89.9), []),
        (HardwareCost(jobs=9, executions=899, billed_seconds=89.9), ["jobs"]),
        (HardwareCost(jobs=1, executions=900, billed_seconds=250.0), ["seconds", "executions"]),
        (HardwareCost(money=1e9), []),  # without a limit
    ],
)
def test_a_budget_that_is_used_by_nine_tenths_is_named(monkeypatch, tmp_path, cost, fields):
    (tmp_path / "config.toml").write_text(LIMITS)
    contents = _used(monkeypatch, cost)
    found = list(hardware._budget(Path("of-the-run"), contents, tmp_path))
    assert [each.advice.rpartition(".run.")[2] for each in found] == [f"{f}." for f in fields]
    assert {each.state for each in found} <= {"note"}


@pytest.mark.parametrize(
    "text", ["", "[trainer]\n", "trainer = 5\n", "[trainer]\nbackend_options = { budget = 5 }\n",
             "[trainer.backend_options.budget]\nunheard = 1\n", "[trainer"],
)  # fmt: skip
def test_without_a_budget_that_can_be_read_nothing_is_said(monkeypatch, tmp_path, text):
    (tmp_path / "config.toml").write_text(text)
    contents = _used(monkeypatch, HardwareCost(jobs=10**6))
    assert list(hardware._budget(Path("of-the-run"), contents, tmp_path)) == []
    assert list(hardware._budget(Path("of-no-run"), contents, None)) == []


def test_open_jobs_of_a_run_that_nobody_runs_may_cost_money(tmp_path):
    records = {name: SimpleNamespace(is_open=name != "done") for name in ("a", "b", "done")}
    contents = SimpleNamespace(records=records)
    assert not is_held(tmp_path)
    (found,) = hardware._open_jobs(Path("of-the-run"), contents, tmp_path)
    assert (found.state, found.found.startswith("2 jobs are open")) == ("note", True)
    assert "left_jobs(" in found.advice
    assert list(hardware._open_jobs(Path("of-no-run"), contents, None)) == []
    records.clear()
    assert list(hardware._open_jobs(Path("of-the-run"), contents, tmp_path)) == []

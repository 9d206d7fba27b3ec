"""What a run or a trial used of the hardware is in its record, and is what the service billed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from qstore_ray.backends.ibm.backend import IbmBackend
from qstore_ray.backends.ibm.gateway.access import close_gateways
from qstore_ray.backends.paid import RunIdentity, usage_metrics
from qstore_ray.cli.app import main
from qstore_ray.tune.trial.trial import TrialRunner
from tests.ibm.test_estimate import job_file
from tests.ibm.test_searches import job
from tests.small_search import RATE, Listener, config_of, plan_of


def record(folder: Path) -> dict[str, float]:
    found: dict[str, float] = json.loads((folder / "run.json").read_text())["metrics"]
    return {name: value for name, value in found.items() if name.startswith("hardware_")}


@pytest.mark.parametrize("mitigation", [{}, {"mitigation": {"twirl": 2, "during": "always"}}])
def test_the_usage_of_a_run_is_what_was_billed(ibm, tmp_path, capsys, mitigation):
    path = job_file(tmp_path, price_per_second=2.0, trainer=mitigation)
    try:
        assert main(["train", path]) == 0
    finally:
        close_gateways()
    accepted = ibm.accepted().values()
    out, err = capsys.readouterr()
    seconds = sum(each.seconds for each in accepted)
    out = " ".join(out.split())
    assert f"hardware {len(accepted)} jobs" in out
    assert f"{seconds:,.1f} s billed, {2 * seconds:,.2f}" in out
    assert "crn:" not in out + err
    used = record(tmp_path / "runs" / "tiny")
    assert used["hardware_jobs"] == len(accepted)
    assert used["hardware_executions"] == sum(each.executions for each in accepted)
    assert used["hardware_seconds"] == pytest.approx(sum(each.seconds for each in accepted))
    assert used["hardware_money"] == pytest.approx(2.0 * used["hardware_seconds"])
    assert used["hardware_pending_seconds"] == 0.0
    assert main(["runs", "--storage", str(tmp_path / "runs")]) == 0
    listed = capsys.readouterr().out
    assert "QPU seconds" in listed
    assert "money" in listed


def test_a_run_that_ends_by_its_budget_has_its_usage(ibm, tmp_path, monkeypatch):
    path = job_file(tmp_path, budget={"jobs": 2})
    monkeypatch.setattr(IbmBackend, "check_forecast", lambda *_: None)
    try:
        assert main(["train", path, "--quiet"]) == 5
    finally:
        close_gateways()
    assert record(tmp_path / "runs" / "tiny")["hardware_jobs"] == len(ibm.accepted()) == 2


def test_the_usage_of_trials_adds_up_to_that_of_their_study(ibm, tmp_path):
    runner = TrialRunner(replace(plan_of(job(tmp_path), config_of()), run_id="s-0123"))
    trials = [
        runner.run(f"trial-000{k}", {RATE: 0.1 * (k + 1)}, Listener())["metrics"] for k in range(2)
    ]
    study = usage_metrics("ibm", None, RunIdentity("s-0123"))
    IbmBackend.close_run("s-0123")
    for name in ("hardware_jobs", "hardware_executions", "hardware_seconds"):
        assert sum(trial[name] for trial in trials) == pytest.approx(study[name])
    assert study["hardware_jobs"] == len(ibm.accepted())
    assert usage_metrics("ibm", None, RunIdentity("s-0123")) == {}, "nothing is open"


def test_a_run_without_paid_hardware_has_no_usage():
    assert usage_metrics("statevector", None, RunIdentity("r")) == {}

"""What a search used of the hardware is in its study, for each trial, and counts once."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from qstore_ray.backends.ibm.backend import IbmBackend
from qstore_ray.backends.ibm.ledger.replay import LEDGER, replay
from qstore_ray.backends.paid import RunIdentity, usage_by_trial
from qstore_ray.cli.app import main
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.errors import BudgetError, InterruptedRunError
from qstore_ray.track.base import RunInfo
from qstore_ray.train.request import RunRequest
from qstore_ray.train.trainer import QuantumTrainer
from qstore_ray.tune.driver.finalize import leave_files, summary_of
from qstore_ray.tune.driver.tracking import SearchTracking
from qstore_ray.tune.driver.usage import SearchUsage
from qstore_ray.tune.driver.watch import Watch
from qstore_ray.tune.study.result import read_result
from qstore_ray.tune.study.trial_result import Pruned, TrialOutcome
from qstore_ray.tune.trial.trial import TrialRunner
from tests.ibm.test_searches import job
from tests.small_search import RATE, Listener, config_of, plan_of, study_of

NUMBERS = ("jobs", "executions", "seconds", "money")


class Stopping(Listener):
    """The link of a driver that is killed after so many parts."""

    def __init__(self, parts: int | None) -> None:
        super().__init__()
        self._left = parts

    def report(self, message) -> None:
        super().report(message)
        if self._left is not None and len(self.messages) >= self._left:
            self.stopping.set()


def run(folder: Path, *, existing: str = "error", killed_after: int | None = None, **options):
    """A search as its driver makes it, trial after trial; the last one is pruned."""
    base = job(folder, price_per_second=2.0)
    config = config_of(trials=2, **options)
    data = DatasetLoader.load(base.dataset)
    with study_of(base, config, data, existing=existing) as study:
        plan = replace(plan_of(base, config, data), run_id=study.run_id)
        earlier = read_result(folder, "s")
        tracking = SearchTracking(
            study.folder, base.track, name="s", job_config=base.to_dict(), fingerprints={}
        )
        tracking.start(existing == "resume")
        usage = SearchUsage(study, base.trainer, earlier)
        watch = Watch(plan, tracking, None, earlier, usage.metrics_of)
        runner = TrialRunner(plan)
        while trial := study.ask():
            watch.trial_started(trial)
            try:
                ending = runner.run(trial.name, trial.values, Stopping(killed_after))
            except InterruptedRunError:
                IbmBackend.close_run(study.run_id)  # what the kill of the actor leaves
                return
            outcome: TrialOutcome = Pruned() if trial.number == 2 else ending["values"]
            usage.refresh(trial.name, ending["metrics"])
            study.tell(trial.number, outcome)
            watch.trial_ended(trial, outcome, None if trial.number == 2 else ending)
        usage.refresh()
        result = read_result(folder, "s")
        leave_files(result, study.folder, figures=True)
        tracking.close("finished", {**summary_of(result), **usage.metrics_of()})
        IbmBackend.close_run(study.run_id)


def test_the_final_training_is_paid_and_limited_as_a_part_of_its_study(ibm, tmp_path):
    study = RunIdentity("s-0123", "refit")
    base = job(tmp_path)
    data = DatasetLoader.load(base.dataset)
    plan = replace(plan_of(base, config_of(), data), run_id=study.run)
    TrialRunner(plan).run("trial-0000", {RATE: 0.1}, Listener())
    before = len(ibm.accepted())

    def refit(limited):
        QuantumTrainer(
            limited.model, limited.trainer, name="refit", storage=tmp_path / "s", track=base.track
        ).run(data, RunRequest(existing="replace", identity=study))

    with pytest.raises(BudgetError, match=f"has used {before}"):
        refit(job(tmp_path, budget={"jobs": before + 1}))
    assert len(ibm.accepted()) == before
    refit(job(tmp_path, budget={"jobs": 3 * before}))
    used = usage_by_trial("ibm", None, study.run)
    assert used[""].jobs == used["refit"].jobs + before == len(ibm.accepted())
    IbmBackend.close_run(study.run)
    assert [path.parent.name for path in (tmp_path / "ledgers").rglob(LEDGER)] == [study.run]


@pytest.fixture
def searched(ibm, tmp_path, monkeypatch):
    """A search of two trials of two parts, killed in the first one and resumed."""
    monkeypatch.setattr("qstore_ray.tune.driver.finalize.draw_possible", lambda *_: None)
    monkeypatch.setattr("qstore_ray.tune.report.html._pictures", lambda _: "")
    run(tmp_path, seeds=2, killed_after=1)
    run(tmp_path, seeds=2, existing="resume")
    return tmp_path


def test_usage_of_trials_in_parts_is_that_of_the_journal_wherever_it_is_shown(
    ibm, searched, capsys
):
    result = read_result(searched, "s")
    accepted = ibm.accepted().values()
    (ledger,) = (path.parent for path in (searched / "ledgers").rglob(LEDGER))
    assert [trial.status for trial in result.trials] == ["interrupted", "completed", "pruned"]
    assert result.trials[0].hardware == {}, "its repetition has all of its run folder"
    assert result.hardware["jobs"] == len(accepted)
    assert result.hardware["executions"] == sum(each.executions for each in accepted)
    assert result.hardware["seconds"] == pytest.approx(sum(each.seconds for each in accepted))
    assert result.hardware["pending_seconds"] == 0.0
    for name in NUMBERS:  # no job is shared, since one trial ran after the other
        parts = [trial.hardware.get(name, 0.0) for trial in result.trials]
        assert sum(parts) == pytest.approx(result.hardware[name])
    records = replay(ledger).records.values()
    for trial in result.trials[1:]:
        own = [job for job in records if job.requests[0].trial == trial.run]
        assert trial.hardware["executions"] == sum(each.executions for each in own)

    # What people look at: terminal, trackers, report, list of runs.
    assert main(["tune", "show", str(searched / "s")]) == 0
    shown = capsys.readouterr().out
    assert f"{len(accepted)} jobs, {result.hardware['executions']:,} executions" in shown
    row = next(line for line in shown.splitlines() if line.split()[1:2] == ["pruned"])
    assert f"{result.trials[2].hardware['seconds']:,.2f}" in row
    assert "QPU seconds" in shown
    assert "forecast" not in shown, "all is billed"

    _, study = RunInfo.load(searched / "s")
    for name in NUMBERS:
        assert study.summary[f"hardware_{name}"] == pytest.approx(result.hardware[name])
    for trial in result.trials[1:]:
        _, ended = RunInfo.load(searched / "s" / trial.run)
        for name in NUMBERS:
            assert ended.summary[f"hardware_{name}"] == pytest.approx(trial.hardware[name])
    kept = json.loads((searched / "s" / "result.json").read_text())
    assert kept["hardware"] == result.hardware
    page = (searched / "s" / "report.html").read_text()
    assert "jobs on hardware" in page
    assert f"{result.hardware['seconds']:,.1f}" in page
    table = result.to_arrow()
    assert table["hardware.jobs"].to_pylist()[1:] == [t.hardware["jobs"] for t in result.trials[1:]]
    assert main(["runs", "--storage", str(searched)]) == 0
    listed = capsys.readouterr().out.splitlines()[1].split()
    assert listed[:3] == ["s", f"{len(accepted)}", f"{result.hardware['executions']:,}"]
    assert main(["runs", "--storage", str(searched), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["hardware"] == {"s": result.hardware}

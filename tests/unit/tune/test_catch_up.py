"""What a killed driver had no time to tell its trackers, the next one tells them."""

from __future__ import annotations

from pathlib import Path

import pytest

from qstore_ray.track.base import RunInfo
from qstore_ray.track.config import TrackConfig, default_uri
from qstore_ray.track.jsonl import MetricsFile
from qstore_ray.tune.driver.tracking import SearchTracking


@pytest.mark.parametrize("killed", [True, False], ids=["killed", "ended"])
def test_a_trial_that_ended_just_before_its_driver_was_killed_is_made_up_for(tmp_path, killed):
    study = tmp_path / "s"
    _left(study, killed=killed)
    tracking = SearchTracking(study, TrackConfig(), name="s", job_config={}, fingerprints={})
    tracking.start(True)
    tracking.make_up(study / "trial-0000", "finished", {"outcome": "completed"})
    assert tracking.close("finished") == []
    runs = {run.info.run_name: run for run in _runs(tmp_path)}
    assert set(runs) == ({"s", "trial-0000"} if killed else {"s"})
    if not killed:
        return
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    assert runs["trial-0000"].data.metrics["val_loss"] == 0.5
    assert runs["trial-0000"].data.tags["mlflow.parentRunId"] == runs["s"].info.run_id
    _, outcome = RunInfo.load(study / "trial-0000")
    assert outcome is not None
    assert (outcome.status, outcome.summary) == ("finished", {"outcome": "completed"})


def _left(study: Path, *, killed: bool) -> None:
    """A study with a trial that has ended, of which no tracker knows."""
    run_dir = study / "trial-0000"
    run_dir.mkdir(parents=True)
    RunInfo(name="trial-0000", run_dir=run_dir, parent=study).save()
    with MetricsFile(run_dir / "metrics.jsonl") as metrics:
        for epoch, loss in enumerate((0.7, 0.5)):
            metrics.append({"event": "epoch", "epoch": epoch, "val_loss": loss})
    with MetricsFile(study / "metrics.jsonl") as metrics:
        metrics.append({"event": "start", "generation": 1})
        metrics.append({"event": "epoch", "epoch": 0, "trial": 0, "status": "finished"})
        if not killed:
            metrics.append({"event": "end", "status": "finished"})


def _runs(storage: Path):
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=default_uri(storage))
    return client.search_runs([each.experiment_id for each in client.search_experiments()])

"""A trial that is ended while its job runs: the job is cancelled or used, and is accounted for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import ray

from qstore_ray.backends.ibm.gateway.actor import NAMESPACE
from qstore_ray.backends.ibm.ledger.record import JobState
from qstore_ray.backends.ibm.ledger.replay import LEDGER, replay
from qstore_ray.tune.tuner import Tuner
from tests.ibm.launch import ROOT, in_thread
from tests.small_search import RATE, config_of, job_of

EPOCHS = 3


def search(storage: Path) -> None:
    """A search whose second trial learns nothing, and is pruned while its next job is queued."""
    options = {
        "device": "fake_manila",
        "shots": 64,
        "level": 1,
        "ledger": str(storage / "ledgers"),
        "price_per_second": 2.0,
        "policy": {"first_poll": 0.05, "longest_poll": 0.2},
    }
    job = job_of(storage, epochs=EPOCHS, batch_size=90, backend="ibm", backend_options=options)
    job = job.model_copy(update={"track": job.track.model_copy(update={"mlflow": True})})
    config = config_of(
        space={RATE: {"type": "categorical", "choices": [0.1, 1e-9]}},
        trials=2,
        sampler="grid",
        concurrency=1,
        refit=True,
        workers_per_trial=1,  # which train on while the search decides
        scheduler="asha",
        scheduler_options={"grace_period": 1, "reduction_factor": 2},
    )
    result = Tuner(job, config).fit()
    actors = (
        [
            each["name"]
            for each in ray.util.list_named_actors(all_namespaces=True)
            if each["namespace"] == NAMESPACE
        ]
        if ray.is_initialized()
        else []
    )
    seen = {
        "statuses": [trial.status for trial in result.trials],
        "trials": [trial.hardware for trial in result.trials],
        "study": result.hardware,
        "actors": actors,
        "mlflow": recorded(storage),
    }
    (storage / "seen.json").write_text(json.dumps(seen))


def recorded(storage: Path) -> dict[str, dict[str, float]]:
    """What MLflow shows of each run."""
    from mlflow.tracking import MlflowClient

    from qstore_ray.track.config import default_uri

    client = MlflowClient(tracking_uri=default_uri(storage))
    runs = client.search_runs([each.experiment_id for each in client.search_experiments()])
    return {
        run.info.run_name: {
            name.removeprefix("summary.hardware_"): value
            for name, value in run.data.metrics.items()
            if name.startswith("summary.hardware_")
        }
        for run in runs
    }


@pytest.mark.slow
def test_a_trial_that_is_pruned_while_its_job_runs_leaves_nothing_unaccounted(tmp_path):
    with in_thread(queue_delay=1.5) as ibm:
        subprocess.run(
            [sys.executable, "-m", "tests.ray.test_ibm_pruned_ray", str(tmp_path)],
            cwd=ROOT, env={**os.environ, **ibm.environment(tmp_path)}, check=True, timeout=400,
        )  # fmt: skip
        accepted, served = ibm.accepted(), {job["id"]: job["status"] for job in ibm.jobs()}
    seen = json.loads((tmp_path / "seen.json").read_text())
    assert seen["statuses"] == ["completed", "pruned"]
    assert seen["actors"] == []

    (path,) = (tmp_path / "ledgers").rglob(LEDGER)
    records = replay(path.parent).records.values()
    states = {record.state for record in records}
    assert states <= {JobState.FINISHED, JobState.CANCELLED}, "none is open"
    used = sorted(record.job_id for record in records if record.state is JobState.FINISHED)
    assert used == sorted(name for name, status in served.items() if status == "Completed")
    own = [r for r in records if r.requests[0].trial == "trial-0001"]
    assert own[-1].state is JobState.CANCELLED, "it was queued when the trial was pruned"

    billed = sum(job.seconds for job in accepted.values())
    assert seen["study"]["seconds"] == pytest.approx(billed)
    assert seen["study"]["jobs"] == len(accepted)
    runs = seen["mlflow"]
    for name in ("jobs", "executions", "seconds", "money"):
        parts = [*(trial[name] for trial in seen["trials"]), runs["refit"][name]]
        assert sum(parts) == pytest.approx(seen["study"][name])
    assert runs["s"] == pytest.approx(seen["study"])
    for number, trial in enumerate(seen["trials"]):
        assert runs[f"trial-000{number}"] == pytest.approx(trial)


if __name__ == "__main__":
    search(Path(sys.argv[1]))

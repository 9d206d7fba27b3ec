"""A training on a noisy device whose values come from IBM's Estimator, killed and resumed."""

from __future__ import annotations

import itertools
import os
import signal

from qstore_ray.backends.ibm.service.client import IbmClient
from qstore_ray.cli.app import main
from tests.child import in_child
from tests.ibm.launch import in_process
from tests.ibm.test_estimate import estimated, job_file
from tests.ibm.test_gateway import audit


def killed_with_a_job_that_nobody_fetched(job: str) -> None:
    """Train; the process ends when the service has completed the second job."""
    fetch, fetched = IbmClient.values, itertools.count()

    def values(*given):
        if next(fetched) == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return fetch(*given)

    IbmClient.values = values  # type: ignore[method-assign] - in a process of its own
    main(["train", job, "--quiet"])


def test_a_killed_training_is_resumed_and_costs_what_was_forecast(tmp_path, capsys, monkeypatch):
    job = job_file(
        tmp_path, estimator={"resilience_level": 1}, trainer={"epochs": 1, "gradient": "spsa"}
    )
    forecast = estimated(job, capsys)["total"]
    with in_process(execution="noisy") as ibm:
        for name, value in ibm.environment(tmp_path / "home").items():
            monkeypatch.setenv(name, value)
        assert in_child(killed_with_a_job_that_nobody_fetched, job) == -signal.SIGKILL
        assert len(ibm.accepted()) == 2
        assert in_child(resumed, job) == 0
        accepted = ibm.accepted().values()
        assert forecast["jobs"] == len(accepted)
        assert forecast["executions"] == sum(each.executions for each in accepted)
        audit(ibm, tmp_path)


def resumed(job: str) -> None:
    """Resume the training."""
    assert main(["train", job, "--quiet", "--resume"]) == 0

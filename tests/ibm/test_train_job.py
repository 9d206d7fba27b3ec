"""`make run-ibm`: the job that learns zeros from ones, on two Ray workers."""

from __future__ import annotations

import pytest

from tests.ibm.train_job import main


@pytest.mark.slow
def test_the_job_for_hardware_learns_and_costs_its_forecast(capfd):
    """Accuracy, jobs and executions are compared in `main`, which answers 1 if one is wrong."""
    assert main("jobs/digits_ibm.toml", []) == 0
    assert "10, forecast 10" in capfd.readouterr().out

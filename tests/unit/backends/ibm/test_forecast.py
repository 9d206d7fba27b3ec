"""Forecasts: the published formula, with its published numbers."""

from __future__ import annotations

import pytest

from qstore_ray.backends.ibm.forecast import (
    LONGEST_JOB_SECONDS,
    SESSION_IDLE_SECONDS,
    HardwareCost,
    QpuRates,
    caps_within,
    forecast,
    forecast_jobs,
    jobs_for,
)
from qstore_ray.backends.ibm.requests import JobCaps
from qstore_ray.errors import ConfigError
from tests.unit.backends.ibm.made import request

BATCH, PARAMETERS, SHOTS = 32, 32, 1024
SHIFT, SPSA = (2 * PARAMETERS + 1) * BATCH, 2 * BATCH


@pytest.mark.parametrize(
    ("circuits", "jobs", "seconds", "money"),
    [
        (SHIFT, 1, 747, 1196),
        (SHIFT, 32, 809, 1295),
        (SHIFT, 2080, 4905, 7849),
        (SPSA, 1, 25, 40),
    ],
    ids=["one job", "a job a sample", "a job a circuit", "spsa"],
)
def test_a_gradient_step_costs_what_the_formula_says(circuits, jobs, seconds, money):
    rates = QpuRates(price_per_second=1.6)
    cost = forecast(jobs, circuits * SHOTS, rates)
    assert round(cost.qpu_seconds) == seconds
    assert cost.billed_seconds == cost.qpu_seconds
    assert cost.money is not None
    assert round(cost.money) == money


def test_the_jobs_of_requests_are_counted_exactly():
    jobs = jobs_for([request(i, rows=SHIFT // 4, shots=SHOTS) for i in range(4)])
    cost = forecast_jobs(iter(jobs), QpuRates())
    assert (cost.jobs, cost.executions) == (1, SHIFT * SHOTS)
    assert cost == forecast(1, SHIFT * SHOTS, QpuRates())
    assert cost.money is None


def test_rep_delay_and_duration_are_those_of_the_device():
    slow = QpuRates(rep_delay=1e-6, circuit_seconds=50e-6, job_seconds=3.0)
    assert forecast(2, 1000, slow).qpu_seconds == pytest.approx(6.0 + 0.051)


def test_a_session_is_billed_for_the_time_between_its_jobs():
    rates = QpuRates(mode="session", client_seconds=10.0, price_per_second=2.0)
    cost = forecast(3, 1000, rates)
    assert cost.billed_seconds == pytest.approx(cost.qpu_seconds + 30.0)
    assert cost.money == pytest.approx(2.0 * cost.billed_seconds)
    idle = rates.model_copy(update={"client_seconds": 3600.0})
    assert forecast(1, 0, idle).billed_seconds == 2.0 + SESSION_IDLE_SECONDS


def test_a_session_without_the_clients_time_is_not_forecast():
    with pytest.raises(ConfigError) as caught:
        forecast(1, 1, QpuRates(mode="session"))
    assert caught.value.field == "client_seconds"
    batch = QpuRates(mode="batch", client_seconds=10.0)
    assert forecast(1, 0, batch).billed_seconds == 2.0


def test_costs_add_up_and_multiply():
    step = forecast(1, 100, QpuRates(price_per_second=1.0))
    assert step * 3 == step + step + step
    assert (step + HardwareCost()).money == step.money
    assert (HardwareCost() + HardwareCost()).money is None
    assert (HardwareCost() * 2).money is None


def test_a_job_may_be_capped_by_its_duration():
    assert caps_within(LONGEST_JOB_SECONDS, JobCaps(), QpuRates()) == JobCaps()
    capped = caps_within(2.0 + 0.35, JobCaps(), QpuRates())
    assert capped.executions == pytest.approx(1000, abs=1)
    with pytest.raises(ConfigError, match="longer"):
        caps_within(2.0, JobCaps(), QpuRates())


@pytest.mark.parametrize(
    ("name", "value"),
    [("price_per_second", 0.0), ("rep_delay", -1.0), ("circuit_seconds", 0.0), ("mode", "free")],
)
def test_rates_out_of_range_are_refused(name, value):
    with pytest.raises(ConfigError) as caught:
        QpuRates(**{name: value})
    assert caught.value.field == name

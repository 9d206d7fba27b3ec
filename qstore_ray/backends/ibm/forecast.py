"""QPU seconds and money of jobs before they run, by the formula that IBM publishes.

    QPU seconds = 2 s · jobs + (rep_delay + circuit duration) · executions

With a rep_delay of 250 µs and a circuit of 100 µs an execution takes 350 µs. Jobs alone and in a
batch are billed for QPU seconds. A session is billed for the time on the wall while it is active,
with the client's own time between two jobs: after `SESSION_IDLE_SECONDS` without a job a session is
deactivated, so at most so long per gap. The client's time is not in the formula; the caller has to
give it.

    cost = forecast_jobs(jobs, QpuRates(price_per_second=1.6))
    print(cost.qpu_seconds, cost.money)
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from qstore_ray.backends.ibm.queue.packing import Packer
from qstore_ray.backends.ibm.requests import CircuitRequest, JobCaps, PackedJob
from qstore_ray.config import Config
from qstore_ray.errors import ConfigError

SESSION_IDLE_SECONDS = 60.0
"""A session without a job for so long is deactivated, and no longer billed."""
LONGEST_JOB_SECONDS = 3 * 3600.0
"""IBM ends a job that used the QPU for longer."""


class QpuRates(Config):
    """What the seconds and the money of jobs are computed from.

    Args:
        mode: how jobs are submitted; a "session" is billed for the time between its jobs, too.
        job_seconds: overhead of a job.
        rep_delay: pause before each execution, in seconds; a setting of the device.
        circuit_seconds: duration of a circuit on the device, with its measurement.
        client_seconds: time of the client between two jobs of a session; needed in a session.
        price_per_second: of a billed second, in any currency; without it there is no money.
    """

    mode: Literal["job", "batch", "session"] = "job"
    job_seconds: float = Field(default=2.0, ge=0.0)
    rep_delay: float = Field(default=250e-6, ge=0.0)
    circuit_seconds: float = Field(default=100e-6, gt=0.0)
    client_seconds: float | None = Field(default=None, ge=0.0)
    price_per_second: float | None = Field(default=None, gt=0.0)


@dataclass(frozen=True)
class HardwareCost:
    """What jobs cost, as a forecast or as billed.

    Attributes:
        billed_seconds: QPU seconds; in a session also the time between jobs.
        money: None if no price is known.

    Examples:
        step = HardwareCost(jobs=1, executions=1000, qpu_seconds=2.35, billed_seconds=2.35)
        assert (step * 3 + step).executions == 4000
    """

    jobs: int = 0
    executions: int = 0
    qpu_seconds: float = 0.0
    billed_seconds: float = 0.0
    money: float | None = None

    def __add__(self, other: HardwareCost) -> HardwareCost:
        both = self.money is not None or other.money is not None
        return HardwareCost(
            self.jobs + other.jobs,
            self.executions + other.executions,
            self.qpu_seconds + other.qpu_seconds,
            self.billed_seconds + other.billed_seconds,
            (self.money or 0.0) + (other.money or 0.0) if both else None,
        )

    def less(self, spent: HardwareCost) -> HardwareCost:
        """What is left of a forecast of which `spent` is done; nothing is below 0."""
        money = None if self.money is None else max(0.0, self.money - (spent.money or 0.0))
        return HardwareCost(
            max(0, self.jobs - spent.jobs),
            max(0, self.executions - spent.executions),
            max(0.0, self.qpu_seconds - spent.qpu_seconds),
            max(0.0, self.billed_seconds - spent.billed_seconds),
            money,
        )

    def __mul__(self, times: int) -> HardwareCost:
        return HardwareCost(
            self.jobs * times,
            self.executions * times,
            self.qpu_seconds * times,
            self.billed_seconds * times,
            None if self.money is None else self.money * times,
        )


def forecast(jobs: int, executions: int, rates: QpuRates) -> HardwareCost:
    """What so many jobs with so many executions in all cost, by the published formula.

    Raises:
        ConfigError: a session, and the client's time between its jobs is not given.

    Examples:
        cost = forecast(2, 1000, QpuRates(job_seconds=2.0, rep_delay=250e-6, price_per_second=1.6))
        assert cost.executions == 1000 and cost.money > 0
    """
    seconds = rates.job_seconds * jobs + (rates.rep_delay + rates.circuit_seconds) * executions
    billed = seconds
    if rates.mode == "session":
        if rates.client_seconds is None:
            raise ConfigError(
                "a session is billed for the time between its jobs, and it is not given",
                field="client_seconds",
                fix="Give the seconds that the client takes between two jobs, or take mode "
                '"batch" or "job".',
            )
        billed += min(rates.client_seconds, SESSION_IDLE_SECONDS) * jobs
    money = None if rates.price_per_second is None else rates.price_per_second * billed
    return HardwareCost(jobs, executions, seconds, billed, money)


def forecast_jobs(jobs: Iterable[PackedJob], rates: QpuRates) -> HardwareCost:
    """What these jobs cost; see `forecast`."""
    executions = [job.executions for job in jobs]
    return forecast(len(executions), sum(executions), rates)


def caps_within(seconds: float, caps: JobCaps, rates: QpuRates) -> JobCaps:
    """The caps, with so few executions that no job is forecast to take longer than `seconds`.

    With `LONGEST_JOB_SECONDS` no job is ended by IBM for its length.

    Raises:
        ConfigError: not even one execution takes so little.
    """
    most = (seconds - rates.job_seconds) / (rates.rep_delay + rates.circuit_seconds)
    if most < 1:
        raise ConfigError(
            "one execution takes longer than a job may take",
            field="seconds",
            value=seconds,
            fix="Take more seconds, or a shorter rep_delay.",
        )
    return caps.model_copy(update={"executions": min(caps.executions, math.floor(most))})


def jobs_for(requests: Iterable[CircuitRequest], caps: JobCaps | None = None) -> list[PackedJob]:
    """The jobs that requests become if all of them wait at the same time; for a forecast.

    Raises:
        ConfigError: see `Packer.add`.
    """
    packer = Packer(caps)
    for request in requests:
        packer.add(request)
    jobs: list[PackedJob] = []
    while len(packer):
        jobs += packer.take(math.inf)
    return jobs


def by_trial(job: PackedJob, cost: HardwareCost) -> dict[str, HardwareCost]:
    """Each trial's part of the forecast, in proportion to its executions."""
    executions: dict[str, int] = {}
    for request in job.requests:
        executions[request.trial] = executions.get(request.trial, 0) + request.executions
    executions[job.requests[0].trial] += job.calibration
    return {
        trial: HardwareCost(
            1 if n == 0 else 0,
            own,
            cost.qpu_seconds * own / job.executions,
            cost.billed_seconds * own / job.executions,
            None if cost.money is None else cost.money * own / job.executions,
        )
        for n, (trial, own) in enumerate(executions.items())
    }

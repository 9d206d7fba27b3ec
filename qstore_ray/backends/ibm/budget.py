"""Budget: limits of a run and of each trial on paid hardware, checked before each job.

A job counts with its forecast from its intent, so that jobs in flight are in the sum, and with the
billed seconds once they are known. What the account has left is a number of the service, which does
not know the jobs in flight: their forecast is subtracted from it.

    budget = HardwareBudget(run=HardwareLimits(seconds=600), trial=HardwareLimits(jobs=50))
    budget.check(forecast)                     before the first job; BudgetError
    spending = Spending.of(ledger.records.values())
    budget.check_next({"a": cost}, spending)   before each job; BudgetReachedError
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from pydantic import Field

from qstore_ray.backends.ibm.forecast import HardwareCost
from qstore_ray.backends.ibm.ledger.record import HardwareJob
from qstore_ray.config import Config
from qstore_ray.errors import BudgetError, BudgetReachedError, ConfigError


class HardwareLimits(Config):
    """What may be used at most; a limit that is left out does not exist.

    Args:
        seconds: that are billed.
        money: their price, in the currency of `QpuRates.price_per_second`.
        executions: circuits times shots.
        jobs: submitted jobs.
    """

    seconds: float | None = Field(default=None, gt=0.0)
    money: float | None = Field(default=None, gt=0.0)
    executions: int | None = Field(default=None, gt=0)
    jobs: int | None = Field(default=None, gt=0)


@dataclass(frozen=True)
class Spending:
    """What the jobs of a ledger cost.

    Attributes:
        total: of all jobs. trials: trial → its share: its own executions, seconds in proportion to
            them, and every job that it takes part in.
        pending_seconds: the part of the total that is a forecast, because the billed seconds are
            not known yet. pending_of: trial → the part of its share.
        answered: the forecast of the jobs that have answered their requests, or will: a run that is
            resumed does not need them again. What failed, or was billed differently, is not in it.
            answered_of: trial → its share.
    """

    total: HardwareCost = field(default_factory=HardwareCost)
    trials: Mapping[str, HardwareCost] = field(default_factory=dict)
    pending_seconds: float = 0.0
    pending_of: Mapping[str, float] = field(default_factory=dict)
    answered: HardwareCost = field(default_factory=HardwareCost)
    answered_of: Mapping[str, HardwareCost] = field(default_factory=dict)

    @classmethod
    def of(cls, jobs: Iterable[HardwareJob]) -> Spending:
        """What these jobs cost, with failed and cancelled ones and duplicates."""
        total, trials = HardwareCost(), dict[str, HardwareCost]()
        pending, pending_of = 0.0, dict[str, float]()
        answered, answered_of = HardwareCost(), dict[str, HardwareCost]()
        for job in jobs:
            if not job.is_dead:
                answered += _cost(job, job.forecast_seconds, job.executions)
                for trial, executions in _executions_by_trial(job).items():
                    part = job.forecast_seconds * (executions / job.executions)
                    known = answered_of.get(trial, HardwareCost())
                    answered_of[trial] = known + _cost(job, part, executions)
            is_planned = job.is_open and not (job.job_id or job.living)
            for seconds in (*map(job.usage.get, job.submitted), *([None] * is_planned)):
                billed = job.forecast_seconds if seconds is None else seconds
                pending += billed if seconds is None else 0.0
                total += _cost(job, billed, job.executions)
                for trial, executions in _executions_by_trial(job).items():
                    share = _cost(job, billed * executions / job.executions, executions)
                    trials[trial] = trials.get(trial, HardwareCost()) + share
                    unknown = share.billed_seconds if seconds is None else 0.0
                    pending_of[trial] = pending_of.get(trial, 0.0) + unknown
        return cls(total, trials, pending, pending_of, answered, answered_of)


class HardwareBudget(Config):
    """The limits of all jobs of a run or study together, and of each of its trials.

    Args:
        run: of all jobs together.
        trial: of each trial.

    Examples:
        budget = HardwareBudget(run=HardwareLimits(seconds=600))
        budget.check(HardwareCost(jobs=1, executions=1000, qpu_seconds=2.35, billed_seconds=2.35))
    """

    run: HardwareLimits = HardwareLimits()
    trial: HardwareLimits = HardwareLimits()

    def check(
        self,
        forecast: HardwareCost,
        *,
        trials: Mapping[str, HardwareCost] | None = None,
        spending: Spending | None = None,
        account_seconds: float | None = None,
    ) -> None:
        """Refuse work whose forecast is above what is left, before its first job.

        Args:
            forecast: of all the work.
            trials: trial → the forecast of its part.
            spending: what was spent before.
            account_seconds: what the account has left, as the service says.

        Raises:
            BudgetError: a limit, or the account, has less left.
            ConfigError: money is limited, and there is no price.
        """
        for limit in self._passed(forecast, trials or {}, spending or Spending(), account_seconds):
            raise BudgetError(
                limit.message,
                field=limit.field,
                value=limit.needed,
                fix="Take fewer steps, rows or shots, or allow more.",
            )

    def check_next(
        self,
        trials: Mapping[str, HardwareCost],
        spending: Spending,
        *,
        account_seconds: float | None = None,
    ) -> None:
        """Refuse the next job if it would pass a limit.

        All shares of a step must get the same answer: a worker that gets a result would wait for
        one that gets the error.

        Args:
            trials: trial → the forecast of its part of the job.
            spending: what was spent before, with the jobs in flight.
            account_seconds: what the account has left, as the service says.

        Raises:
            BudgetReachedError: a limit, or the account, has less left; `value` is the trial if the
                limit is its own. The job of the other trials may still be submitted.
            ConfigError: money is limited, and there is no price.
        """
        job = sum(trials.values(), HardwareCost())
        for limit in self._passed(job, trials, spending, account_seconds):
            raise BudgetReachedError(
                limit.message,
                field=limit.field,
                value=limit.trial or None,
                fix="Continue with existing='resume' and a larger limit.",
            )

    def _passed(
        self,
        forecast: HardwareCost,
        trials: Mapping[str, HardwareCost],
        spending: Spending,
        account_seconds: float | None,
    ) -> Iterator[_PassedLimit]:
        yield from _passed(self.run, forecast, spending.total, "run")
        for trial, needed in trials.items():
            used = spending.trials.get(trial, HardwareCost())
            yield from _passed(self.trial, needed, used, "trial", trial)
        pending = spending.pending_seconds
        if account_seconds is not None and pending + forecast.billed_seconds > account_seconds:
            message = (
                f"the account has {_number(account_seconds)} seconds left, of which jobs in flight "
                f"take {_number(pending)}, and {_number(forecast.billed_seconds)} are needed"
            )
            yield _PassedLimit(message, "account", forecast.billed_seconds)


class _PassedLimit(NamedTuple):
    message: str
    field: str
    needed: float
    trial: str = ""


def _passed(
    limits: HardwareLimits, needed: HardwareCost, used: HardwareCost, of: str, trial: str = ""
) -> Iterator[_PassedLimit]:
    """The limits that `used` and `needed` together pass."""
    names = {"seconds": "billed_seconds", "money": "money", "executions": "executions"}
    for name in HardwareLimits.model_fields:
        limit = getattr(limits, name)
        if limit is None:
            continue
        more, before = (getattr(cost, names.get(name, name)) for cost in (needed, used))
        if more is None:
            raise ConfigError(
                "money is limited, and there is no price",
                field="trial_budget.money" if of == "trial" else "budget.money",
                value=limit,
                fix="Give price_per_second, for example 1.6.",
            )
        if more and (before or 0) + more > limit:
            whose = f"the trial {trial!r}" if trial else f"the {of}"
            message = (
                f"{whose} may use {_number(limit)} {name.replace('money', 'units of money')}, "
                f"has used {_number(before or 0)}, and needs {_number(more)} more"
            )
            table = "trial_budget" if of == "trial" else "budget"
            yield _PassedLimit(message, f"{table}.{name}", more, trial)


def _number(value: float) -> str:
    return f"{value:,.2f}".rstrip("0").rstrip(".") if value >= 0.01 or not value else f"{value:.2g}"


def _cost(job: HardwareJob, seconds: float, executions: int) -> HardwareCost:
    price = job.price_per_second
    money = None if price is None else price * seconds
    return HardwareCost(1, executions, seconds, seconds, money)


def _executions_by_trial(job: HardwareJob) -> dict[str, int]:
    found: dict[str, int] = {}
    for request in job.requests:
        found[request.trial] = found.get(request.trial, 0) + request.executions
    found[job.requests[0].trial] += job.calibration
    return found

"""Asynchronous successive halving, whose rungs may be counted in what a trial has cost so far.

Rungs lie at g, g·η, g·η², … of a resource. A trial that reaches a rung is compared with all that
reached it before: if it is not among the best 1/η, it ends. Nobody waits for anybody.

The resource is epochs, or circuit evaluations, or seconds. Counted in circuit evaluations, a model
of many parameters, or an optimizer that needs many circuits a step, has fewer epochs to show that
it is worth its price. A trial that passes several rungs in one epoch is compared at the highest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from pydantic import Field, model_validator

from qstore_ray.errors import ConfigError
from qstore_ray.tune.schedulers.base import (
    Resource,
    Scheduler,
    check_one_objective,
    check_period,
    horizon,
    unfit_error,
)
from qstore_ray.tune.space.space import Space

if TYPE_CHECKING:
    from ray.tune.schedulers import TrialScheduler


class ASHA(Scheduler):
    """Asynchronous successive halving (Li et al. 2020).

    Args:
        resource: what rungs are counted in: epoch, circuit_evaluations or seconds.
        grace_period: g, of the resource; nothing ends before. For epochs it is 1 if left out.
        reduction_factor: η; of the trials that reach a rung, about 1/η continue.
        brackets: the trials are dealt out over so many, the s-th of which begins at rung s.
        max_period: of the resource, after which a trial ends; without it, for epochs only, all of
            them.
    """

    resource: Resource = "epoch"
    grace_period: float | None = Field(default=None, gt=0.0)
    reduction_factor: float = Field(default=3.0, gt=1.0)
    brackets: int = Field(default=1, ge=1)
    max_period: float | None = Field(default=None, gt=0.0)

    @model_validator(mode="after")
    def _amounts(self) -> Self:
        for name in ("grace_period", "max_period"):
            if self.resource != "epoch" and getattr(self, name) is None:
                raise ConfigError(
                    f"how much {self.resource} a trial has cannot be known in advance",
                    field=name,
                    fix=f"Write {name} = … in {self.resource}.",
                )
        if self.max_period is not None and self.grace >= self.max_period:
            raise ConfigError(
                f"a trial ends after {self.max_period:g}, before anything would be decided",
                field="grace_period",
                value=self.grace,
                fix=f"Take less than {self.max_period:g}, or a larger max_period.",
            )
        return self

    @property
    def grace(self) -> float:
        """The first rung."""
        return 1.0 if self.grace_period is None else self.grace_period

    def check(self, space: Space, objectives: int, epochs: int, parts: int) -> None:
        """Refuses several objectives, and rungs that no trial reaches.

        Raises:
            ConfigError: any of these, or more brackets than rungs.
        """
        check_one_objective("asha", objectives)
        end = self.max_period
        if self.resource == "epoch":
            end = self._end(horizon(space, epochs, parts))
            what = "trainings" if parts > 1 else "epochs"
            check_period("grace_period", self.grace, end, what)
        assert end is not None
        rungs = self.rung(end) + 1
        if self.brackets > rungs:
            raise ConfigError(
                f"there are {rungs} rungs from {self.grace:g} to {end:g}, each begins a bracket",
                field="scheduler_options.brackets",
                value=self.brackets,
                fix=f"Take {rungs} or less, or a smaller grace_period or reduction_factor.",
            )

    def _end(self, epochs: int | None) -> float:
        if epochs is None and self.max_period is None:
            raise unfit_error(
                "trials of different trainer.epochs have no common last rung",
                "asha",
                "Write scheduler_options = { max_period = … }, or do not search trainer.epochs.",
            )
        if self.max_period is not None and epochs is not None and self.max_period > epochs:
            raise ConfigError(
                f"a trial ends after {epochs} epochs",
                field="scheduler_options.max_period",
                value=self.max_period,
                fix=f"Take {epochs} or less, or leave it out.",
            )
        return float(epochs or 0) if self.max_period is None else self.max_period

    def open(self, space: Space, *, epochs: int | None, seed: int) -> TrialScheduler:
        """Ray's, which is asked once for each rung that a trial reaches."""
        from qstore_ray.tune.schedulers.ray import RungASHA

        return RungASHA(self, self.max_period or epochs or 0, seed)

    def decides(self, epoch: int, epochs: int) -> bool:
        """At the first epoch on each rung, and at the end if that is before a trial's own."""
        if self.resource != "epoch":
            return True
        if self.max_period is not None and epoch >= self.max_period:
            return True
        return epoch < epochs and self.rung(epoch) > self.rung(epoch - 1)

    def rung(self, spent: float) -> int:
        """The number of the highest rung that is reached, from 0; −1 before the first."""
        number = -1
        while self.grace * self.reduction_factor ** (number + 1) <= spent:
            number += 1
        return number

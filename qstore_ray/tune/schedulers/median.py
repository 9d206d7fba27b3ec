"""The median stopping rule."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Self

from pydantic import Field, model_validator

from qstore_ray.errors import ConfigError
from qstore_ray.tune.schedulers.base import (
    Resource,
    Scheduler,
    check_one_objective,
    check_period,
    horizon,
)
from qstore_ray.tune.space.space import Space

if TYPE_CHECKING:
    from ray.tune.schedulers import TrialScheduler


class Median(Scheduler):
    """A trial ends if its best score is below the median of the others' means so far.

    Golovin et al. 2017 (Vizier), section 3.2.1; means and best are over what was compared, so over
    one report an interval.

    Args:
        resource: what is counted: epoch, circuit_evaluations or seconds.
        grace_period: of the resource, before which nothing ends. For epochs it is 1 if left out.
        min_samples: other trials that must have come as far.
        interval: of the resource between comparisons. For epochs it is 1 if left out.
    """

    resource: Resource = "epoch"
    grace_period: float | None = Field(default=None, gt=0.0)
    min_samples: int = Field(default=3, ge=1)
    interval: float | None = Field(default=None, gt=0.0)

    @model_validator(mode="after")
    def _amounts(self) -> Self:
        for name in ("grace_period", "interval"):
            if self.resource != "epoch" and getattr(self, name) is None:
                raise ConfigError(
                    f"how much {self.resource} a trial has cannot be known in advance",
                    field=name,
                    fix=f"Write {name} = … in {self.resource}.",
                )
        return self

    @property
    def grace(self) -> float:
        """When the first comparison is."""
        return 1.0 if self.grace_period is None else self.grace_period

    def check(self, space: Space, objectives: int, epochs: int, parts: int) -> None:
        """Refuses several objectives, and a first comparison that no trial reaches."""
        check_one_objective("median", objectives)
        end = horizon(space, epochs, parts)
        if self.resource == "epoch" and end is not None:
            what = "trainings" if parts > 1 else "epochs"
            check_period("grace_period", self.grace, end, what)

    def open(self, space: Space, *, epochs: int | None, seed: int) -> TrialScheduler:
        """Ray's scheduler, which receives one report an interval."""
        from qstore_ray.tune.schedulers.ray import IntervalMedianRule

        return IntervalMedianRule(self)

    def decides(self, epoch: int, epochs: int) -> bool:
        """At the first epoch of every interval."""
        return self.resource != "epoch" or self.rung(epoch) > self.rung(epoch - 1)

    def rung(self, spent: float) -> int:
        """The number of the interval, from 0; −1 before the first."""
        if spent < self.grace:
            return -1
        return math.floor((spent - self.grace) / (self.interval or 1.0))

"""Successive halving in brackets that wait.

With M epochs at most and a factor η, the trials of bracket s first train ⌊M η⁻ˢ⌋ epochs. When all
have reached that milestone, the best 1/η continue to η times as many epochs; this repeats up to M.
A trial that reaches a milestone early is paused, and its resources are free for others.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from qstore_ray.errors import ConfigError
from qstore_ray.tune.schedulers.base import (
    Scheduler,
    check_one_objective,
    check_one_part,
    horizon,
    unfit_error,
)
from qstore_ray.tune.space.space import Space

if TYPE_CHECKING:
    from ray.tune.schedulers import TrialScheduler


class HyperBand(Scheduler):
    """Hyperband (Li et al. 2018), with epochs as its resource.

    Args:
        reduction_factor: η.
        max_period: M, epochs after which a trial ends; without it, all of them.
    """

    pauses: ClassVar[bool] = True

    reduction_factor: float = Field(default=3.0, ge=2.0)
    max_period: int | None = Field(default=None, ge=1)

    def check(self, space: Space, objectives: int, epochs: int, parts: int) -> None:
        """Refuses several objectives or trainings, and epochs too few for one halving.

        Raises:
            ConfigError: any of these, or a `max_period` after the end of the trials.
        """
        check_one_objective("hyperband", objectives)
        check_one_part("hyperband", parts)
        there = horizon(space, epochs, parts)
        end = there if self.max_period is None else self.max_period
        if end is None:
            raise unfit_error(
                "trials of different trainer.epochs have no common last epoch",
                "hyperband",
                "Write scheduler_options = { max_period = … }, or do not search trainer.epochs.",
            )
        if there is not None and end > there:
            raise ConfigError(
                f"a trial ends after {there} epochs",
                field="scheduler_options.max_period",
                value=end,
                fix=f"Take {there} or less, or leave it out.",
            )
        if not self.milestones(end) - {end}:
            raise ConfigError(
                f"in {end} epochs, nothing can be divided by {self.reduction_factor:g}",
                field="scheduler_options.reduction_factor",
                value=self.reduction_factor,
                fix=f"Take {math.ceil(self.reduction_factor)} epochs or more, or scheduler asha.",
            )

    def open(self, space: Space, *, epochs: int | None, seed: int) -> TrialScheduler:
        """Ray's, which is asked at milestones only."""
        from qstore_ray.tune.schedulers.ray import MilestoneHyperBand

        return MilestoneHyperBand(self, self.max_period or epochs or 0)

    def decides(self, epoch: int, epochs: int) -> bool:
        """At every milestone of every bracket before a trial's own end."""
        if self.max_period is None:
            return epoch < epochs and epoch in self.milestones(epochs)
        return epoch in self.milestones(self.max_period)

    def milestones(self, end: int) -> set[int]:
        """Epochs at which some bracket compares its trials; `end` is M."""
        found: set[int] = set()
        brackets = round(math.log(end) / math.log(self.reduction_factor)) + 1
        for s in range(brackets):
            epoch = int(end * self.reduction_factor ** (-s))
            if epoch == 0:
                continue
            found.add(epoch)
            for _ in range(s):
                epoch = int(min(epoch * self.reduction_factor, end))
                found.add(epoch)
        return found

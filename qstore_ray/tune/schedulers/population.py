"""Populations: trials that take over what works while they train.

Every `interval` epochs a trial saves its parameters and is compared with the population. One of the
worst takes over the parameters of one of the best, its optimizer's state, and its values, of which
some are then changed: those that a training reads again at every step, such as the learning rate.
So a search finds not a learning rate but a course of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field, field_validator

from qstore_ray.errors import ConfigError
from qstore_ray.tune.schedulers.base import (
    EPOCHS,
    Scheduler,
    check_one_objective,
    check_one_part,
    check_period,
    horizon,
    unfit_error,
)
from qstore_ray.tune.space.mutation import continuous, mutable
from qstore_ray.tune.space.space import Space

if TYPE_CHECKING:
    from ray.tune.schedulers import TrialScheduler


class Population(Scheduler):
    """What both methods have in common.

    Args:
        interval: epochs between comparisons.
        quantile_fraction: share of the population that is best, and that is worst.
    """

    pauses: ClassVar[bool] = True
    mutates: ClassVar[bool] = True

    interval: int = Field(default=5, ge=1)
    quantile_fraction: float = Field(default=0.25, gt=0.0, le=0.5)

    def fits(self, name: str, space: Space, objectives: int, epochs: int, parts: int) -> None:
        """Refuse several objectives or trainings, different epochs, an interval too long.

        Raises:
            ConfigError: any of these.
        """
        check_one_objective(name, objectives)
        check_one_part(name, parts)
        end = horizon(space, epochs, parts)
        if end is None:
            raise unfit_error(
                "the trials of a population train equally long",
                name,
                f"Do not search {EPOCHS}, or take asha.",
            )
        check_period("interval", self.interval, end, "epochs")

    def decides(self, epoch: int, epochs: int) -> bool:
        """At every interval before the end."""
        return epoch < epochs and epoch % self.interval == 0


class PBT(Population):
    """Population-based training (Jaderberg et al. 2017).

    Args:
        resample_probability: chance that a value is drawn again from its range.
        perturbation_factors: by one of which it is multiplied otherwise, within its range; what has
            steps or choices moves by one at least.
    """

    resample_probability: float = Field(default=0.25, ge=0.0, le=1.0)
    perturbation_factors: tuple[float, ...] = Field(default=(1.2, 0.8), min_length=1)

    @field_validator("perturbation_factors", mode="after")
    @classmethod
    def _change_something(cls, factors: tuple[float, ...]) -> tuple[float, ...]:
        for place, factor in enumerate(factors):
            if factor <= 0.0 or factor == 1.0:
                raise ConfigError(
                    "a factor is positive, and not 1",
                    field=str(place),
                    value=factor,
                    fix="Write for example [1.2, 0.8].",
                )
        return factors

    def check(self, space: Space, objectives: int, epochs: int, parts: int) -> None:
        """Refuses also a space in which nothing can change while a model trains."""
        self.fits("pbt", space, objectives, epochs, parts)
        if not mutable(space):
            raise unfit_error(
                "nothing in the space can change while a model trains",
                "pbt",
                'Search "trainer.learning_rate" without a condition, or take asha.',
            )

    def open(self, space: Space, *, epochs: int | None, seed: int) -> TrialScheduler:
        """Ray's, with our own way to change values."""
        from qstore_ray.tune.schedulers.ray import SpacePBT

        return SpacePBT(self, space, epochs or 0, seed)


class PB2(Population):
    """Population-based bandits (Parker-Holder et al. 2020): values by a Gaussian process.

    Values are searched evenly in their range, or in its logarithm; what has steps or choices stays
    as it is in the trial that is taken over.
    """

    def check(self, space: Space, objectives: int, epochs: int, parts: int) -> None:
        """Refuses also a space in which no continuous range can change while a model trains."""
        self.fits("pb2", space, objectives, epochs, parts)
        if not continuous(space):
            raise unfit_error(
                "no continuous range in the space can change while a model trains",
                "pb2",
                'Search "trainer.learning_rate" as a float without step and condition, or take pbt.'
                if mutable(space)
                else "asha.",
            )

    def open(self, space: Space, *, epochs: int | None, seed: int) -> TrialScheduler:
        """Ray's, in the unit cube."""
        from qstore_ray.tune.schedulers.ray_pb2 import SpacePB2

        return SpacePB2(self, space, epochs or 0, seed)

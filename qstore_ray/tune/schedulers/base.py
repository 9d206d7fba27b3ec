"""Schedulers of a search: they end or change trials while they train.

A trial reports its score after epochs; a scheduler decides that it continues, ends, waits, or takes
over another trial's parameters. Any decision but "continue" is allowed only at epochs for which
`decides` is true: a trial must report those and may skip the others. So a search does not depend on
the number of reports, and short epochs need none.

A trial of several trainings (seeds × folds) reports after each of them, not after epochs; wherever
epochs are counted here, they are then trainings. `horizon` says how many there are.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

from qstore_ray.config import Config
from qstore_ray.errors import ConfigError
from qstore_ray.tune.space.space import Space

if TYPE_CHECKING:
    from ray.tune.schedulers import TrialScheduler

Resource = Literal["epoch", "circuit_evaluations", "seconds"]
"""What a trial spends, by the name under which it reports how much."""

Result: TypeAlias = dict[str, Any]
"""A trial's report as Ray Tune delivers it, flattened, with keys of Ray Tune's own.

Ours are `score` (more is better), `epoch`, `circuit_evaluations` and `seconds`. Count epochs by
`epoch`: Ray's `training_iteration` counts reports, and a trial may skip some.
"""

EPOCHS = "trainer.epochs"


class Scheduler(Config, ABC):
    """What every scheduler answers; `pauses` and `mutates` are properties of the method.

    `pauses`: trials wait for each other, so all of a search have to exist from its start.
    `mutates`: values of a trial change while it trains, so it has to be able to load a checkpoint.
    """

    pauses: ClassVar[bool] = False
    mutates: ClassVar[bool] = False

    @abstractmethod
    def check(self, space: Space, objectives: int, epochs: int, parts: int) -> None:
        """Check that it fits trials of this space, with that many objectives, epochs and trainings.

        Raises:
            ConfigError: it does not, and what does is proposed.
        """

    @abstractmethod
    def open(self, space: Space, *, epochs: int | None, seed: int) -> TrialScheduler:
        """Ray's scheduler for the metric `score`, larger is better; `epochs` is the `horizon`."""

    @abstractmethod
    def decides(self, epoch: int, epochs: int) -> bool:
        """Whether it may act on the report after this epoch, from 1, of a trial of so many."""


def horizon(space: Space, epochs: int, parts: int) -> int | None:
    """How often a trial reports: its trainings, or its epochs; None if they differ by trial.

    Args:
        space: in which `trainer.epochs` may be.
        epochs: of the job that is searched from.
        parts: trainings of one trial.
    """
    if parts > 1:
        return parts
    searched = space.parameters.get(EPOCHS)
    if searched is None:
        return epochs
    if searched.type != "fixed" or searched.when:
        return None
    return int(searched.at(0.0))


def check_one_objective(name: str, objectives: int) -> None:
    """Refuse several objectives: of two trials, each may be the better one.

    Raises:
        ConfigError: more than one.
    """
    if objectives > 1:
        raise unfit_error(
            f"{name} compares trials by one objective, and there are {objectives}",
            name,
            'Write tune.scheduler = "none", or keep one objective.',
        )


def check_one_part(name: str, parts: int) -> None:
    """Refuse several trainings of a trial, which cannot wait or change in the middle.

    Raises:
        ConfigError: more than one.
    """
    if parts > 1:
        raise unfit_error(
            f"{name} stops and continues one training, and a trial has {parts} (seeds × folds)",
            name,
            "Take asha or median, or seeds = 1 without folds.",
        )


def check_period(field: str, period: float, end: float, what: str) -> None:
    """Refuse a first decision that comes when a trial has ended already.

    Raises:
        ConfigError: the period is not below the end.
    """
    if period >= end:
        raise ConfigError(
            f"a trial ends after {end:g} {what}, before anything would be decided",
            field=f"scheduler_options.{field}",
            value=period,
            fix=f"Take less than {end:g}"
            + (", or more trainer.epochs." if what == "epochs" else "."),
        )


def unfit_error(message: str, value: Any, fix: str) -> ConfigError:
    """The error for a scheduler that does not fit the search."""
    return ConfigError(message, field="scheduler", value=value, fix=fix)

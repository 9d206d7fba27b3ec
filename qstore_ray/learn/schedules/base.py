"""A schedule: the learning rate of each step, as a pure state machine.

    state = schedule.init(Horizon(steps=3000, steps_per_epoch=100))
    factor, state = schedule.update(state, tick)        once a step, before the optimizer

The factor multiplies the configured learning rate. `update` is called once a step for every
schedule: a schedule with an epoch cadence changes its factor if `tick.begins_epoch`, one that
monitors a metric if `tick.metric` is set, and both keep it in between. The state is a dictionary of
numbers and is saved in the checkpoint.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, Protocol, TypeAlias

ScheduleState: TypeAlias = dict[str, float]

Cadence: TypeAlias = Literal["step", "epoch", "metric"]
"""What moves a schedule: every step, every epoch, or the metric at the end of an epoch."""


class Horizon(NamedTuple):
    """How long a run is: steps in all, and steps of one epoch."""

    steps: int
    steps_per_epoch: int

    @property
    def epochs(self) -> int:
        """Epochs in all."""
        return self.steps // self.steps_per_epoch


class Tick(NamedTuple):
    """What a schedule may look at before a step.

    Attributes:
        begins_epoch: the step is the first of an epoch.
        metric: the monitored metric of the epoch that has just ended; None in any other step, and
            in the first epoch.
        larger_is_better: the metric's direction.
    """

    begins_epoch: bool = False
    metric: float | None = None
    larger_is_better: bool = False


class Schedule(Protocol):
    """Gives the factor of the learning rate, step by step."""

    @property
    def cadence(self) -> Cadence:
        """What moves it."""
        ...

    def init(self, horizon: Horizon) -> ScheduleState:
        """The state before the first step; always with the same keys."""
        ...

    def update(self, state: ScheduleState, tick: Tick) -> tuple[float, ScheduleState]:
        """The factor for the next step, at least 0, and the state after it."""
        ...

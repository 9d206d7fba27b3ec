"""A schedule: the learning rate of each step, as a pure state machine.

    state = schedule.init(total_steps)
    rate, state = schedule.update(state)        once a step, before the optimizer

`rate` multiplies the configured learning rate. The state is a dictionary of numbers and goes into
the checkpoint.
"""

from __future__ import annotations

from typing import Protocol, TypeAlias

ScheduleState: TypeAlias = dict[str, float]


class Schedule(Protocol):
    """Gives the factor of the learning rate, step by step."""

    def init(self, total_steps: int) -> ScheduleState:
        """The state before the first of `total_steps` steps."""
        ...

    def update(self, state: ScheduleState) -> tuple[float, ScheduleState]:
        """The factor for the next step, at least 0, and the state after it."""
        ...

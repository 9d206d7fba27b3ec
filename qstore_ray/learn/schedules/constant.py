"""The learning rate as configured, always."""

from __future__ import annotations

from typing import ClassVar

from qstore_ray.config import Config
from qstore_ray.learn.schedules.base import Cadence, Horizon, ScheduleState, Tick


class Constant(Config):
    """f(t) = 1."""

    cadence: ClassVar[Cadence] = "step"

    def init(self, horizon: Horizon) -> ScheduleState:
        """No state."""
        return {}

    def update(self, state: ScheduleState, tick: Tick) -> tuple[float, ScheduleState]:
        """The factor 1."""
        return 1.0, state

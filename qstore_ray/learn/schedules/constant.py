"""The learning rate as configured, always."""

from __future__ import annotations

from qstore_ray.config import Config
from qstore_ray.learn.schedules.base import ScheduleState


class Constant(Config):
    """f(t) = 1."""

    def init(self, total_steps: int) -> ScheduleState:
        """No state but the count of steps."""
        return {"step": 0.0, "total": float(total_steps)}

    def update(self, state: ScheduleState) -> tuple[float, ScheduleState]:
        """The factor 1."""
        return 1.0, {**state, "step": state["step"] + 1.0}

"""A curve: a schedule whose factor depends on nothing but how far the run is.

Such a member says what its factor is at time t; counting t is the same for all of them and done
here. t is 0 in the first step and grows by one with every step, or with every epoch, as the
option `unit` says. In between the factor stays as it is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal, TypeAlias

from qstore_ray.config import Config
from qstore_ray.learn.schedules.base import Horizon, ScheduleState, Tick

Unit: TypeAlias = Literal["step", "epoch"]


class Curve(Config, ABC):
    """f(t), asked once a step.

    Args:
        unit: what t counts, and what the other options count in: step or epoch.
    """

    unit: Unit = "step"

    @property
    def cadence(self) -> Unit:
        """What moves it: the unit of t."""
        return self.unit

    @abstractmethod
    def at(self, t: float, total: float) -> float:
        """f(t), at least 0 for every t ≥ 0.

        Args:
            t: steps or epochs done.
            total: steps or epochs of the whole run; t may go beyond.
        """

    def init(self, horizon: Horizon) -> ScheduleState:
        """Before the first step, which is at t = 0."""
        total = horizon.steps if self.unit == "step" else horizon.steps / horizon.steps_per_epoch
        return {"t": -1.0, "total": float(total)}

    def update(self, state: ScheduleState, tick: Tick) -> tuple[float, ScheduleState]:
        """f at the next step; see `Schedule.update`."""
        t = state["t"]
        if t < 0.0 or self.unit == "step" or tick.begins_epoch:
            t += 1.0
        return self.at(t, state["total"]), {"t": t, "total": state["total"]}

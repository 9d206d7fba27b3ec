"""Cosine annealing (Loshchilov & Hutter 2017, arXiv:1608.03983), one period, no restart."""

from __future__ import annotations

import math
from typing import ClassVar

from pydantic import Field

from qstore_ray.config import Config
from qstore_ray.learn.schedules.base import Cadence, Horizon, ScheduleState, Tick


class Cosine(Config):
    """f(t) = f_min + (1 − f_min)·(1 + cos(π t / T)) / 2 after a linear rise over the warm-up.

    Args:
        minimum: f_min, the factor at the end.
        warmup: the share of all steps that rise from 0 to 1 first.
    """

    cadence: ClassVar[Cadence] = "step"

    minimum: float = Field(default=0.0, ge=0.0, le=1.0)
    warmup: float = Field(default=0.0, ge=0.0, lt=1.0)

    def init(self, horizon: Horizon) -> ScheduleState:
        """At step 0."""
        return {"step": 0.0, "total": float(horizon.steps)}

    def update(self, state: ScheduleState, tick: Tick) -> tuple[float, ScheduleState]:
        """The factor of the next step; past the last step it stays at the minimum."""
        step, total = state["step"], state["total"]
        rising = self.warmup * total
        if step < rising:
            factor = (step + 1.0) / (rising + 1.0)
        else:
            done = min(1.0, (step - rising) / max(1.0, total - rising))
            factor = self.minimum + (1.0 - self.minimum) * 0.5 * (1.0 + math.cos(math.pi * done))
        return factor, {"step": step + 1.0, "total": total}

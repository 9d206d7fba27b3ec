"""Reduce on plateau: the learning rate falls when a metric stops improving (ReduceLROnPlateau)."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

from pydantic import Field

from qstore_ray.config import Config
from qstore_ray.learn.schedules.base import Cadence, Horizon, ScheduleState, Tick


class Plateau(Config):
    """f ← max(factor · f, min_factor) after more than `patience` epochs without a better metric.

    A metric that is NaN or infinite is never better. PyTorch's `eps` is left out; its relative
    threshold is taken of the best value's size, so that it also works for negative metrics.

    Args:
        mode: min, where smaller is better, max, or auto: as the monitored metric has it.
        factor: what f is multiplied by.
        patience: epochs without a better metric that are let pass.
        threshold: by how much a better metric has to be better.
        threshold_mode: rel (a share of the best value) or abs.
        cooldown: epochs after a fall that do not count.
        min_factor: the lowest f: PyTorch's `min_lr` divided by the learning rate.
    """

    cadence: ClassVar[Cadence] = "metric"

    mode: Literal["auto", "min", "max"] = "auto"
    factor: float = Field(default=0.1, ge=0.0, lt=1.0)
    patience: int = Field(default=10, ge=0)
    threshold: float = Field(default=1e-4, ge=0.0)
    threshold_mode: Literal["rel", "abs"] = "rel"
    cooldown: int = Field(default=0, ge=0)
    min_factor: float = Field(default=0.0, ge=0.0, le=1.0)

    def init(self, horizon: Horizon) -> ScheduleState:
        """Nothing seen: `known` is 0 until `best` has a value."""
        return {"factor": 1.0, "best": 0.0, "known": 0.0, "bad": 0.0, "cooling": 0.0}

    def update(self, state: ScheduleState, tick: Tick) -> tuple[float, ScheduleState]:
        """The factor, lowered where the metric says so; without a metric as it was."""
        if tick.metric is None:
            return state["factor"], state
        new = dict(state)
        if self._better(tick.metric, state, tick.larger_is_better):
            new |= {"best": tick.metric, "known": 1.0, "bad": 0.0}
        else:
            new["bad"] += 1.0
        if state["cooling"] > 0.0:
            new |= {"cooling": state["cooling"] - 1.0, "bad": 0.0}
        if new["bad"] > self.patience:
            lowered = max(self.factor * state["factor"], self.min_factor)
            new |= {"factor": lowered, "cooling": float(self.cooldown), "bad": 0.0}
        return new["factor"], new

    def _better(self, metric: float, state: ScheduleState, larger_is_better: bool) -> bool:
        if not math.isfinite(metric) or not state["known"]:
            return math.isfinite(metric)
        larger = larger_is_better if self.mode == "auto" else self.mode == "max"
        sign = 1.0 if larger else -1.0
        size = abs(state["best"]) if self.threshold_mode == "rel" else 1.0
        return sign * (metric - state["best"]) > self.threshold * size

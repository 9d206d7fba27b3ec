"""A product: schedules at the same time, their factors multiplied (PyTorch's ChainedScheduler)."""

from __future__ import annotations

import math

from pydantic import Field

from qstore_ray.config import Config
from qstore_ray.learn.schedules.base import Cadence, Horizon, ScheduleState, Tick
from qstore_ray.learn.schedules.nested import Member, cadence_of, init_at, update_at


class Product(Config):
    """f(t) = f_0(t) · f_1(t) · ….

    Args:
        schedules: each `{ name = …, options… }`.
    """

    schedules: list[Member] = Field(min_length=1)

    @property
    def cadence(self) -> Cadence:
        """`metric` if one of them watches one."""
        return cadence_of(self.schedules)

    def init(self, horizon: Horizon) -> ScheduleState:
        """Each before its first step."""
        state: ScheduleState = {}
        for i, member in enumerate(self.schedules):
            state |= init_at(f"schedules.{i}", member, horizon)
        return state

    def update(self, state: ScheduleState, tick: Tick) -> tuple[float, ScheduleState]:
        """The product; every one of them sees every tick."""
        factors = []
        for i, member in enumerate(self.schedules):
            factor, state = update_at(f"schedules.{i}", member, state, tick)
            factors.append(factor)
        return math.prod(factors), state

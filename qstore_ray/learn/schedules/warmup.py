"""Warm-up: the learning rate rises first, and then another schedule begins.

    schedule = "warmup"
    schedule_options = { length = 0.1, then = { name = "cosine", eta_min = 0.01 } }

It is PyTorch's SequentialLR of a LinearLR (or ConstantLR) and the other one.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from qstore_ray.config import Config
from qstore_ray.learn.schedules.base import Cadence, Horizon, ScheduleState, Tick
from qstore_ray.learn.schedules.lengths import LengthUnit, check_length, in_steps
from qstore_ray.learn.schedules.nested import Member, cadence_of, init_at, update_at


class Warmup(Config):
    """f(t) = s + (1 − s)·t/W for t < W, or s if constant; then the other schedule from its start.

    Args:
        length: W, a share of the run or a number, as `unit` says. The other schedule takes what
            is left as its whole run.
        unit: run (a share between 0 and 1), epoch or step.
        shape: linear or constant.
        start_factor: s, the first factor.
        then: the other schedule, `{ name = …, options… }`.
    """

    length: float = 0.1
    unit: LengthUnit = "run"
    shape: Literal["linear", "constant"] = "linear"
    start_factor: float = Field(default=1.0 / 3.0, gt=0.0, le=1.0)
    then: Member

    @model_validator(mode="after")
    def _length_fits_its_unit(self) -> Self:
        check_length(self.length, self.unit, "length")
        return self

    @property
    def cadence(self) -> Cadence:
        """`metric` if the other schedule watches one."""
        return cadence_of([self.then])

    def init(self, horizon: Horizon) -> ScheduleState:
        """At step 0, and the other schedule before its first.

        Raises:
            ConfigError: the run is not longer than the warm-up.
        """
        warm = in_steps(self.length, self.unit, horizon, "length")
        rest = Horizon(horizon.steps - warm, horizon.steps_per_epoch)
        return {"step": 0.0, "warm": float(warm), **init_at("then", self.then, rest)}

    def update(self, state: ScheduleState, tick: Tick) -> tuple[float, ScheduleState]:
        """The rise, then the other schedule, which has not seen the ticks before."""
        step, warm = state["step"], state["warm"]
        if step >= warm:
            return update_at("then", self.then, state, tick)
        done = step / warm if self.shape == "linear" else 0.0
        factor = self.start_factor + (1.0 - self.start_factor) * done
        return factor, state | {"step": step + 1.0}

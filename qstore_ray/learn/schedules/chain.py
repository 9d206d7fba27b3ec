"""A chain: schedules one after another, each from its own start (PyTorch's SequentialLR).

schedule = "chain"

[schedule_options]
milestones = [0.5]
schedules = [{ name = "constant" }, { name = "cosine" }]
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise
from typing import Self

from pydantic import Field, model_validator

from qstore_ray.config import Config
from qstore_ray.errors import ConfigError
from qstore_ray.learn.schedules.base import Cadence, Horizon, ScheduleState, Tick
from qstore_ray.learn.schedules.lengths import LengthUnit, check_length, in_steps
from qstore_ray.learn.schedules.nested import Member, cadence_of, init_at, update_at


class Chain(Config):
    """f(t) = f_i(t − m_i) for m_i ≤ t < m_{i+1}, with m_0 = 0.

    Args:
        schedules: f_0, f_1, …, each `{ name = …, options… }`. The time from its beginning to the
            next one's is its whole run.
        milestones: m_1, m_2, …: when the second, the third, … begins.
        unit: of the milestones: run (shares between 0 and 1), epoch or step.
    """

    schedules: list[Member] = Field(min_length=1)
    milestones: list[float] = Field(default_factory=list)
    unit: LengthUnit = "run"

    @model_validator(mode="after")
    def _milestones_fit(self) -> Self:
        for position, milestone in enumerate(self.milestones):
            check_length(milestone, self.unit, f"milestones.{position}")
        if len(self.milestones) != len(self.schedules) - 1:
            raise ConfigError(
                f"{len(self.schedules)} schedules have {len(self.schedules) - 1} milestones",
                field="milestones",
                value=self.milestones,
                fix="Write when each begins, but for the first.",
            )
        if any(later <= earlier for earlier, later in pairwise(self.milestones)):
            raise ConfigError(
                "a milestone comes after the one before",
                field="milestones",
                value=self.milestones,
                fix="Write them in rising order.",
            )
        return self

    @property
    def cadence(self) -> Cadence:
        """`metric` if one of them watches one."""
        return cadence_of(self.schedules)

    def init(self, horizon: Horizon) -> ScheduleState:
        """At step 0, and each schedule before its first.

        Raises:
            ConfigError: the run ends before a milestone.
        """
        begins = [0] + [
            in_steps(milestone, self.unit, horizon, f"milestones.{position}")
            for position, milestone in enumerate(self.milestones)
        ]
        state = {"step": 0.0} | {f"begin{i}": float(begin) for i, begin in enumerate(begins)}
        for i, (begin, end) in enumerate(pairwise([*begins, horizon.steps])):
            # In a run of fewer steps than schedules a share may come to nothing; it is not asked.
            own = Horizon(max(1, end - begin), horizon.steps_per_epoch)
            state |= init_at(f"schedules.{i}", self.schedules[i], own)
        return state

    def update(self, state: ScheduleState, tick: Tick) -> tuple[float, ScheduleState]:
        """The factor of the one whose time it is; the others do not see the tick."""
        begins = [state[f"begin{i}"] for i in range(len(self.schedules))]
        running = bisect_right(begins, state["step"]) - 1
        factor, state = update_at(f"schedules.{running}", self.schedules[running], state, tick)
        return factor, state | {"step": state["step"] + 1.0}

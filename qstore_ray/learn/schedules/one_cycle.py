"""One cycle (Smith & Topin 2018, arXiv:1708.07120): up to the full rate, then far down, once.

It is PyTorch's OneCycleLR, the phases of which end one step early so that the last step of the
run is the one at the minimum. Past the end it stays there.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Literal, Self

from pydantic import Field, model_validator

from qstore_ray.errors import ConfigError
from qstore_ray.learn.schedules.curve import Curve


class OneCycle(Curve):
    """f rises from 1/div_factor to 1, then falls to 1/(div_factor · final_div_factor).

    The configured learning rate is PyTorch's `max_lr`, and the run its `total_steps`.

    Args:
        pct_start: the share of the run that rises.
        div_factor: 1 over the factor of the first step.
        final_div_factor: how often the last factor goes into the first.
        anneal_strategy: cos or linear, of the rise and of the falls.
        three_phase: fall to the first factor in as much time as the rise took, and from there to
            the last one; `pct_start` is then at most a half.
        unit: step or epoch.
    """

    pct_start: float = Field(default=0.3, ge=0.0, le=1.0)
    div_factor: float = Field(default=25.0, ge=1.0)
    final_div_factor: float = Field(default=1e4, ge=1.0)
    anneal_strategy: Literal["cos", "linear"] = "cos"
    three_phase: bool = False

    @model_validator(mode="after")
    def _room_for_three_phases(self) -> Self:
        if self.three_phase and self.pct_start > 0.5:
            raise ConfigError(
                "with three phases the rise takes at most half of the run",
                field="pct_start",
                value=self.pct_start,
                fix="Take 0.5 or less.",
            )
        return self

    def at(self, t: float, total: float) -> float:
        """The factor after t steps or epochs."""
        first = 1.0 / self.div_factor
        last = first / self.final_div_factor
        rise = self.pct_start * total - 1.0
        points = [(0.0, first), (rise, 1.0), (total - 1.0, last)]
        if self.three_phase:
            points.insert(2, (2.0 * rise, first))
        for (start, high), (end, low) in pairwise(points):
            if t <= end:
                return self._between(high, low, (t - start) / (end - start) if end > start else 1.0)
        return last

    def _between(self, start: float, end: float, done: float) -> float:
        share = done if self.anneal_strategy == "linear" else 0.5 * (1.0 - math.cos(math.pi * done))
        return start + (end - start) * share

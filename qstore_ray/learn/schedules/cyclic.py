"""Cyclical learning rates (Smith 2017, arXiv:1506.01186): up and down in a saw-tooth (CyclicLR)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from qstore_ray.learn.schedules.curve import Curve


class Cyclic(Curve):
    """f(t) = base + (1 − base)·h·s, h from 0 up to 1 and down to 0 in every cycle c = 0, 1, ….

    The configured learning rate is PyTorch's `max_lr`.

    Args:
        base: the lowest factor: PyTorch's `base_lr` divided by `max_lr`.
        step_size_up: steps (or epochs, by `unit`) of a rise.
        step_size_down: steps (or epochs) of a fall; by default `step_size_up`.
        mode: triangular (s = 1), triangular2 (s = 2^−c), exp_range (s = γ^t).
        gamma: γ of exp_range, above 0 and at most 1.
        unit: step or epoch.
    """

    base: float = Field(default=0.1, ge=0.0, le=1.0)
    step_size_up: int = Field(ge=1)
    step_size_down: int | None = Field(default=None, ge=1)
    mode: Literal["triangular", "triangular2", "exp_range"] = "triangular"
    gamma: float = Field(default=1.0, gt=0.0, le=1.0)

    def at(self, t: float, total: float) -> float:
        """The factor after t steps or epochs."""
        down = self.step_size_down or self.step_size_up
        cycle, position = divmod(t, self.step_size_up + down)
        if position <= self.step_size_up:
            height = position / self.step_size_up
        else:
            height = 1.0 - (position - self.step_size_up) / down
        scales = {"triangular": 1.0, "triangular2": 0.5**cycle, "exp_range": self.gamma**t}
        return float(self.base + (1.0 - self.base) * height * scales[self.mode])

"""Cosine annealing (Loshchilov & Hutter 2017, arXiv:1608.03983), one period, no restart.

It is PyTorch's CosineAnnealingLR up to T_max. There PyTorch's turns and rises again; this one
stays at the minimum.
"""

from __future__ import annotations

import math

from pydantic import Field

from qstore_ray.learn.schedules.curve import Curve, Unit


class Cosine(Curve):
    """f(t) = f_min + (1 − f_min)·(1 + cos(π t / T)) / 2.

    Args:
        T_max: T in steps (or epochs, by `unit`); without it, the whole run.
        eta_min: f_min, the factor at the end: PyTorch's `eta_min` divided by the learning rate.
        unit: step or epoch.
    """

    unit: Unit = "step"
    T_max: int | None = Field(default=None, ge=1)
    eta_min: float = Field(default=0.0, ge=0.0, le=1.0)

    def at(self, t: float, total: float) -> float:
        """The factor after t steps or epochs; past T it stays at the minimum."""
        return falling_cosine(min(1.0, t / (self.T_max or total)), self.eta_min)


def falling_cosine(done: float, minimum: float) -> float:
    """From 1 at done = 0 to the minimum at done = 1, along half a period of a cosine."""
    return minimum + (1.0 - minimum) * 0.5 * (1.0 + math.cos(math.pi * done))

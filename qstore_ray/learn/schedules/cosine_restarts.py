"""Cosine annealing with warm restarts (SGDR: Loshchilov & Hutter 2017, arXiv:1608.03983).

The learning rate falls along a cosine, jumps back to its full value, and falls again, each period
T_mult times as long as the one before: PyTorch's CosineAnnealingWarmRestarts.
"""

from __future__ import annotations

from pydantic import Field

from qstore_ray.learn.schedules.cosine import falling_cosine
from qstore_ray.learn.schedules.curve import Curve, Unit


class CosineRestarts(Curve):
    """f(t) = f_min + (1 − f_min)·(1 + cos(π t_i / T_i)) / 2, with t_i counted from restart i.

    Args:
        T_0: T of the first period, in epochs (or steps, by `unit`).
        T_mult: T_{i+1} / T_i.
        eta_min: f_min: PyTorch's `eta_min` divided by the learning rate.
        unit: epoch or step.
    """

    unit: Unit = "epoch"
    T_0: int = Field(ge=1)
    T_mult: int = Field(default=1, ge=1)
    eta_min: float = Field(default=0.0, ge=0.0, le=1.0)

    def at(self, t: float, total: float) -> float:
        """The factor after t epochs or steps."""
        period = float(self.T_0)
        if self.T_mult == 1:
            t %= period
        while t >= period:
            t, period = t - period, period * self.T_mult
        return falling_cosine(t / period, self.eta_min)

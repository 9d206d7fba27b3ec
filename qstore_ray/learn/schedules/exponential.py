"""Exponential decay: the learning rate falls by the same factor every time (ExponentialLR)."""

from __future__ import annotations

from pydantic import Field

from qstore_ray.learn.schedules.curve import Curve, Unit


class Exponential(Curve):
    """f(t) = γ^t.

    Args:
        gamma: γ, above 0 and at most 1.
        unit: epoch or step.
    """

    unit: Unit = "epoch"
    gamma: float = Field(gt=0.0, le=1.0)

    def at(self, t: float, total: float) -> float:
        """The factor after t epochs or steps."""
        return float(self.gamma**t)

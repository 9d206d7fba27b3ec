"""Step decay: the learning rate falls by a factor at equal distances (PyTorch's StepLR)."""

from __future__ import annotations

from pydantic import Field

from qstore_ray.learn.schedules.curve import Curve, Unit


class StepDecay(Curve):
    """f(t) = γ^⌊t / step_size⌋.

    Args:
        step_size: epochs (or steps, by `unit`) from one fall to the next.
        gamma: γ, above 0 and at most 1.
        unit: epoch or step.
    """

    unit: Unit = "epoch"
    step_size: int = Field(ge=1)
    gamma: float = Field(default=0.1, gt=0.0, le=1.0)

    def at(self, t: float, total: float) -> float:
        """The factor after t epochs or steps."""
        return float(self.gamma ** (t // self.step_size))

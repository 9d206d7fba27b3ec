"""Adagrad (Duchi, Hazan & Singer 2011): the step shrinks where gradients have been large."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from qstore_ray.config import Config

if TYPE_CHECKING:
    from qstore_ray.learn.optimizers.base import OptimizerState
    from qstore_ray.types import FloatArray


class Adagrad(Config):
    """s ← s + g²,  θ ← θ − η_t g / (√s + ε),  η_t = η / (1 + (t − 1) d). As in PyTorch.

    Args:
        lr_decay: d.
        initial_accumulator_value: s before the first step.
        epsilon: ε, added after the square root.
        weight_decay: λ; adds λ θ to the gradient.
    """

    lr_decay: float = Field(default=0.0, ge=0.0)
    initial_accumulator_value: float = Field(default=0.0, ge=0.0)
    epsilon: float = Field(default=1e-10, gt=0.0)
    weight_decay: float = Field(default=0.0, ge=0.0)

    def init(self, theta: FloatArray) -> OptimizerState:
        """The sum of squares at its initial value, no steps taken."""
        return {"s": np.full_like(theta, self.initial_accumulator_value), "t": np.zeros(1)}

    def update(
        self,
        state: OptimizerState,
        theta: FloatArray,
        gradient: FloatArray,
        learning_rate: float,
    ) -> tuple[FloatArray, OptimizerState]:
        """One step; see `Optimizer.update`."""
        if self.weight_decay:
            gradient = gradient + self.weight_decay * theta
        rate = learning_rate / (1.0 + state["t"] * self.lr_decay)
        s = state["s"] + gradient**2
        step = rate * gradient / (np.sqrt(s) + self.epsilon)
        return theta - step, {"s": s, "t": state["t"] + 1.0}

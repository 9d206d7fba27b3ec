"""RMSprop (Tieleman & Hinton 2012, lecture 6.5), plain, centered, and with momentum."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from qstore_ray.config import Config

if TYPE_CHECKING:
    from qstore_ray.learn.optimizers.base import OptimizerState
    from qstore_ray.types import FloatArray


class RMSprop(Config):
    """v ← α v + (1 − α) g²,  b ← μ b + g / (√v + ε),  θ ← θ − η b. As in PyTorch.

    Args:
        alpha: α, decay of the mean of g².
        epsilon: ε, added after the square root.
        momentum: μ, from 0 to below 1.
        centered: divide by the spread √(v − ḡ²) instead of √v (Graves 2013, arXiv:1308.0850).
        weight_decay: λ; adds λ θ to the gradient.
    """

    alpha: float = Field(default=0.99, ge=0.0, lt=1.0)
    epsilon: float = Field(default=1e-8, gt=0.0)
    momentum: float = Field(default=0.0, ge=0.0, lt=1.0)
    centered: bool = False
    weight_decay: float = Field(default=0.0, ge=0.0)

    def init(self, theta: FloatArray) -> OptimizerState:
        """Means 0, velocity 0; only the centered form has the mean of g."""
        names = ("v", "velocity", "mean") if self.centered else ("v", "velocity")
        return {name: np.zeros_like(theta) for name in names}

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
        square = self.alpha * state["v"] + (1.0 - self.alpha) * gradient**2
        after = {"v": square}
        if self.centered:
            mean = self.alpha * state["mean"] + (1.0 - self.alpha) * gradient
            after["mean"] = mean
            square = np.maximum(square - mean**2, 0.0)  # rounding may leave it just below 0
        scaled = gradient / (np.sqrt(square) + self.epsilon)
        velocity = self.momentum * state["velocity"] + scaled
        return theta - learning_rate * velocity, after | {"velocity": velocity}

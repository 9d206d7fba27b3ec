"""Stochastic gradient descent, with momentum (Polyak 1964) if asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from qstore_ray.config import Config

if TYPE_CHECKING:
    from qstore_ray.learn.optimizers.base import OptimizerState
    from qstore_ray.types import FloatArray


class SGD(Config):
    """v ← μ v + g,  θ ← θ − η v.

    Args:
        momentum: μ, from 0 to below 1.
    """

    momentum: float = Field(default=0.0, ge=0.0, lt=1.0)

    def init(self, theta: FloatArray) -> OptimizerState:
        """Velocity 0."""
        return {"velocity": np.zeros_like(theta)}

    def update(
        self,
        state: OptimizerState,
        theta: FloatArray,
        gradient: FloatArray,
        learning_rate: float,
    ) -> tuple[FloatArray, OptimizerState]:
        """One step; see `Optimizer.update`."""
        velocity = self.momentum * state["velocity"] + gradient
        return theta - learning_rate * velocity, {"velocity": velocity}

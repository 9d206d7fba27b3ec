"""Stochastic gradient descent, with momentum (Polyak 1964) or Nesterov's (1983) if asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np
from pydantic import Field, model_validator

from qstore_ray.config import Config
from qstore_ray.errors import ConfigError

if TYPE_CHECKING:
    from qstore_ray.learn.optimizers.base import OptimizerState
    from qstore_ray.types import FloatArray


class SGD(Config):
    """v ← μ v + g,  θ ← θ − η v; Nesterov: θ ← θ − η (g + μ v). As in PyTorch.

    Args:
        momentum: μ, from 0 to below 1.
        nesterov: look ahead along the momentum (Sutskever et al. 2013); needs one.
        weight_decay: λ; adds λ θ to the gradient.
    """

    momentum: float = Field(default=0.0, ge=0.0, lt=1.0)
    nesterov: bool = False
    weight_decay: float = Field(default=0.0, ge=0.0)

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> Self:
        if self.nesterov and not self.momentum:
            raise ConfigError(
                "Nesterov's method needs a momentum",
                field="momentum",
                value=self.momentum,
                fix="Set momentum, for example 0.9.",
            )
        return self

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
        if self.weight_decay:
            gradient = gradient + self.weight_decay * theta
        velocity = self.momentum * state["velocity"] + gradient
        direction = gradient + self.momentum * velocity if self.nesterov else velocity
        return theta - learning_rate * direction, {"velocity": velocity}

"""Adam (Kingma & Ba 2015, arXiv:1412.6980), with the paper's bias correction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from qstore_ray.config import Config

if TYPE_CHECKING:
    from qstore_ray.learn.optimizers.base import OptimizerState
    from qstore_ray.types import FloatArray


class Adam(Config):
    """θ ← θ − η m̂ / (√v̂ + ε), with m and v running means of g and g².

    Args:
        beta1, beta2: decay of the means of g and g².
        epsilon: ε, added after the square root.
    """

    beta1: float = Field(default=0.9, ge=0.0, lt=1.0)
    beta2: float = Field(default=0.999, ge=0.0, lt=1.0)
    epsilon: float = Field(default=1e-8, gt=0.0)

    def init(self, theta: FloatArray) -> OptimizerState:
        """Means 0, no steps taken."""
        return {"m": np.zeros_like(theta), "v": np.zeros_like(theta), "t": np.zeros(1)}

    def update(
        self,
        state: OptimizerState,
        theta: FloatArray,
        gradient: FloatArray,
        learning_rate: float,
    ) -> tuple[FloatArray, OptimizerState]:
        """One step; see `Optimizer.update`."""
        t = state["t"] + 1.0
        m = self.beta1 * state["m"] + (1.0 - self.beta1) * gradient
        v = self.beta2 * state["v"] + (1.0 - self.beta2) * gradient**2
        m_hat = m / (1.0 - self.beta1**t)
        v_hat = v / (1.0 - self.beta2**t)
        step = learning_rate * m_hat / (np.sqrt(v_hat) + self.epsilon)
        return theta - step, {"m": m, "v": v, "t": t}

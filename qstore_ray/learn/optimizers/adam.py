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
        weight_decay: λ; adds λ θ to the gradient, before the means. `adamw` keeps it out of them.
        amsgrad: take the largest v so far instead of v (Reddi et al. 2018, arXiv:1904.09237).
    """

    beta1: float = Field(default=0.9, ge=0.0, lt=1.0)
    beta2: float = Field(default=0.999, ge=0.0, lt=1.0)
    epsilon: float = Field(default=1e-8, gt=0.0)
    weight_decay: float = Field(default=0.0, ge=0.0)
    amsgrad: bool = False

    def init(self, theta: FloatArray) -> OptimizerState:
        """Means 0, no steps taken."""
        return initial_means(theta, amsgrad=self.amsgrad)

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
        betas = (self.beta1, self.beta2)
        step, state = adam_step(state, gradient, learning_rate, betas, self.epsilon)
        return theta - step, state


def initial_means(theta: FloatArray, *, amsgrad: bool) -> OptimizerState:
    """The initial state of `adam_step`; only AMSGrad has `v_max`."""
    state = {"m": np.zeros_like(theta), "v": np.zeros_like(theta), "t": np.zeros(1)}
    return state | {"v_max": np.zeros_like(theta)} if amsgrad else state


def adam_step(
    state: OptimizerState,
    gradient: FloatArray,
    learning_rate: float,
    betas: tuple[float, float],
    epsilon: float,
) -> tuple[FloatArray, OptimizerState]:
    """η m̂ / (√v̂ + ε) and the next state; with AMSGrad where the state has a `v_max`."""
    beta1, beta2 = betas
    t = state["t"] + 1.0
    m = beta1 * state["m"] + (1.0 - beta1) * gradient
    v = beta2 * state["v"] + (1.0 - beta2) * gradient**2
    after = {"m": m, "v": v, "t": t}
    if "v_max" in state:
        v = after["v_max"] = np.maximum(state["v_max"], v)
    m_hat = m / (1.0 - beta1**t)
    v_hat = v / (1.0 - beta2**t)
    return learning_rate * m_hat / (np.sqrt(v_hat) + epsilon), after

"""AdamW: Adam with weight decay beside the means (Loshchilov & Hutter 2019, arXiv:1711.05101)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from qstore_ray.config import Config
from qstore_ray.learn.optimizers.adam import adam_step, initial_means

if TYPE_CHECKING:
    from qstore_ray.learn.optimizers.base import OptimizerState
    from qstore_ray.types import FloatArray


class AdamW(Config):
    """θ ← (1 − η λ) θ − η m̂ / (√v̂ + ε): the decay is not divided by √v̂, as it is in `adam`.

    Args:
        beta1, beta2: decay of the means of g and g².
        epsilon: ε, added after the square root.
        weight_decay: λ.
        amsgrad: take the largest v so far instead of v (Reddi et al. 2018, arXiv:1904.09237).
    """

    beta1: float = Field(default=0.9, ge=0.0, lt=1.0)
    beta2: float = Field(default=0.999, ge=0.0, lt=1.0)
    epsilon: float = Field(default=1e-8, gt=0.0)
    weight_decay: float = Field(default=0.01, ge=0.0)
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
        betas = (self.beta1, self.beta2)
        step, state = adam_step(state, gradient, learning_rate, betas, self.epsilon)
        return theta * (1.0 - learning_rate * self.weight_decay) - step, state

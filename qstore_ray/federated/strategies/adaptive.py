"""The clients' mean change as the gradient of an adaptive optimizer at the server.

Reddi et al. 2021, arXiv:2003.00295, algorithm 2, without bias correction. v starts at τ², so that
the first rounds do not divide by almost nothing.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import Field

from qstore_ray.config import Config
from qstore_ray.federated.strategies.base import ClientUpdate, LocalRule, Weights, mean_model

if TYPE_CHECKING:
    from qstore_ray.federated.strategies.base import StrategyState
    from qstore_ray.types import FloatArray


class AdaptiveStrategy(Config):
    """m ← β₁ m + (1 − β₁) Δ,  θ ← θ + η m / (√v + τ); how v follows Δ², each member says.

    Args:
        learning_rate: η of the server. beta1: β₁. tau: τ, how adaptive it is: smaller is more.
        weights: see `FedAvg`.
    """

    sees_updates: ClassVar[bool] = False
    learning_rate: float = Field(default=0.1, gt=0.0)
    beta1: float = Field(default=0.9, ge=0.0, lt=1.0)
    tau: float = Field(default=1e-3, gt=0.0)
    weights: Weights = "rows"

    def local(self) -> LocalRule:
        """Plain training."""
        return LocalRule()

    def check(self, n_updates: int) -> None:
        """Any number will do."""

    def init(self, theta: FloatArray) -> StrategyState:
        """m = 0, v = τ²."""
        return {"mean": np.zeros_like(theta), "square": np.full_like(theta, self.tau**2)}

    @abstractmethod
    def square(self, before: FloatArray, change: FloatArray) -> FloatArray:
        """The next v (P,) from v and Δ (P,)."""

    def update(
        self,
        state: Mapping[str, FloatArray],
        theta: FloatArray,
        updates: Sequence[ClientUpdate],
        n_clients: int,
    ) -> tuple[FloatArray, StrategyState]:
        """See `Strategy`."""
        change = mean_model(updates, self.weights) - theta
        mean = self.beta1 * state["mean"] + (1.0 - self.beta1) * change
        square = self.square(state["square"], change)
        moved = theta + self.learning_rate * mean / (np.sqrt(square) + self.tau)
        return moved, {"mean": mean, "square": square}


class FedAdagrad(AdaptiveStrategy):
    """v ← v + Δ²; by default without momentum, as in the paper."""

    beta1: float = Field(default=0.0, ge=0.0, lt=1.0)

    def square(self, before: FloatArray, change: FloatArray) -> FloatArray:
        """v + Δ²."""
        return before + change**2


class FedAdam(AdaptiveStrategy):
    """v ← β₂ v + (1 − β₂) Δ².

    Args:
        beta2: β₂.
    """

    beta2: float = Field(default=0.99, ge=0.0, lt=1.0)

    def square(self, before: FloatArray, change: FloatArray) -> FloatArray:
        """β₂ v + (1 − β₂) Δ²."""
        return self.beta2 * before + (1.0 - self.beta2) * change**2


class FedYogi(AdaptiveStrategy):
    """v ← v − (1 − β₂) Δ² sign(v − Δ²): v falls no faster than it grows.

    Args:
        beta2: β₂.
    """

    learning_rate: float = Field(default=0.01, gt=0.0)
    beta2: float = Field(default=0.99, ge=0.0, lt=1.0)

    def square(self, before: FloatArray, change: FloatArray) -> FloatArray:
        """v − (1 − β₂) Δ² sign(v − Δ²)."""
        return before - (1.0 - self.beta2) * change**2 * np.sign(before - change**2)

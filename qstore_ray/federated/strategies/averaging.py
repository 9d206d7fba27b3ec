"""Means of the clients' models."""

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


class MeanStrategy(Config):
    """θ ← Σ w_i θ_i, without a state.

    Args:
        weights: `rows` for w_i = n_i / Σ n, or `uniform` so that the number of a client's rows
            stays its own.
    """

    sees_updates: ClassVar[bool] = False
    weights: Weights = "rows"

    @abstractmethod
    def local(self) -> LocalRule:
        """See `Strategy`."""

    def check(self, n_updates: int) -> None:
        """Any number will do."""

    def init(self, theta: FloatArray) -> StrategyState:
        """No state."""
        return {}

    def update(
        self,
        state: Mapping[str, FloatArray],
        theta: FloatArray,
        updates: Sequence[ClientUpdate],
        n_clients: int,
    ) -> tuple[FloatArray, StrategyState]:
        """See `Strategy`."""
        return mean_model(updates, self.weights), {}


class FedAvg(MeanStrategy):
    """θ ← Σ (n_i / Σ n) θ_i (McMahan et al. 2017).

    With several local steps and clients that differ it stops short of the optimum: it converges to
    a mean of local optima.

    Args:
        weights: see `MeanStrategy`.
    """

    def local(self) -> LocalRule:
        """Plain training."""
        return LocalRule()


class FedProx(MeanStrategy):
    """FedAvg whose clients minimise their loss + μ/2 · ‖w − w_t‖² (Li et al. 2020).

    Args:
        mu: μ; the paper tries 0.001, 0.01, 0.1 and 1.
        weights: see `MeanStrategy`.
    """

    mu: float = Field(default=0.01, ge=0.0)

    def local(self) -> LocalRule:
        """With the proximal term."""
        return LocalRule(proximal=self.mu)


class FedAvgM(Config):
    """v ← β v + Δ,  θ ← θ + η v for the mean change Δ (Hsu, Qi & Brown 2019, arXiv:1909.06335).

    Args:
        momentum: β. learning_rate: η of the server. weights: see `MeanStrategy`.
    """

    sees_updates: ClassVar[bool] = False
    momentum: float = Field(default=0.9, ge=0.0, lt=1.0)
    learning_rate: float = Field(default=1.0, gt=0.0)
    weights: Weights = "rows"

    def local(self) -> LocalRule:
        """Plain training."""
        return LocalRule()

    def check(self, n_updates: int) -> None:
        """Any number will do."""

    def init(self, theta: FloatArray) -> StrategyState:
        """Velocity 0."""
        return {"velocity": np.zeros_like(theta)}

    def update(
        self,
        state: Mapping[str, FloatArray],
        theta: FloatArray,
        updates: Sequence[ClientUpdate],
        n_clients: int,
    ) -> tuple[FloatArray, StrategyState]:
        """See `Strategy`."""
        change = mean_model(updates, self.weights) - theta
        velocity = self.momentum * state["velocity"] + change
        return theta + self.learning_rate * velocity, {"velocity": velocity}


class Scaffold(Config):
    """θ ← θ + η mean(θ_i − θ),  c ← c + (S/N) mean(Δc_i) (Karimireddy et al. 2020).

    Each client steps along g − c_i + c, which takes out how its rows differ from all rows, so
    clients that differ still reach the common optimum. The mean of Δc_i, not the sum: with the
    sum it diverges. Δc_i follows from plain SGD, so clients must train by it.

    arXiv:1910.06378, option II.

    Args:
        learning_rate: η of the server.
    """

    sees_updates: ClassVar[bool] = False
    learning_rate: float = Field(default=1.0, gt=0.0)

    def local(self) -> LocalRule:
        """With control variates."""
        return LocalRule(control=True)

    def check(self, n_updates: int) -> None:
        """Any number will do."""

    def init(self, theta: FloatArray) -> StrategyState:
        """c = 0."""
        return {"control": np.zeros_like(theta)}

    def update(
        self,
        state: Mapping[str, FloatArray],
        theta: FloatArray,
        updates: Sequence[ClientUpdate],
        n_clients: int,
    ) -> tuple[FloatArray, StrategyState]:
        """See `Strategy`."""
        change = mean_model(updates, "uniform") - theta
        controls = [update.control for update in updates if update.control is not None]
        assert len(controls) == len(updates), "clients of SCAFFOLD send their control variates"
        mean = np.stack(controls).sum(axis=0) / len(controls)
        control = state["control"] + len(updates) / n_clients * mean
        return theta + self.learning_rate * change, {"control": control}

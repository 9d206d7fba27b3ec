"""A strategy: pure functions from the models of clients to that of the server.

    state = strategy.init(theta)
    theta, state = strategy.update(state, theta, updates, n_clients)

Updates come sorted by client, so the order in which clients answer changes no bit. The state is
plain arrays, which a checkpoint keeps.

Letters: S clients of a round, N clients in all, P parameters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import (
    TYPE_CHECKING,
    ClassVar,
    Literal,
    NamedTuple,
    Protocol,
    TypeAlias,
    runtime_checkable,
)

import numpy as np

if TYPE_CHECKING:
    from qstore_ray.types import FloatArray

    StrategyState: TypeAlias = dict[str, FloatArray]

Weights: TypeAlias = Literal["rows", "uniform"]
"""What a client counts in a mean: its rows, or as much as any other."""


class ClientUpdate(NamedTuple):
    """What a client sends at the end of its round.

    Attributes:
        client: its id. round: the round that it was asked in.
        theta: its model (P,). n_rows: its rows. loss: mean loss of its steps.
        control: the change of its control variate (P,), with SCAFFOLD.
    """

    client: str
    round: int
    theta: FloatArray
    n_rows: int
    loss: float
    control: FloatArray | None = None


class LocalRule(NamedTuple):
    """What a strategy changes in the training of a client.

    Attributes:
        proximal: μ of the term μ/2 · ‖w − w_t‖² that is added to its loss.
        control: whether control variates correct its gradients.
    """

    proximal: float = 0.0
    control: bool = False


class RoundTask(NamedTuple):
    """What the server asks of a client.

    Attributes:
        round: its number, from 0. theta: the server's model (P,). rule: of the strategy.
        control: the server's control variate (P,), with SCAFFOLD.
        run: names the run. hidden: the update is for a secure sum.
        clip: the largest norm of the change of θ; None for any.
        asked: how often the client was asked before.
    """

    round: int
    theta: FloatArray
    rule: LocalRule
    control: FloatArray | None = None
    run: str = ""
    hidden: bool = False
    clip: float | None = None
    asked: int = 0

    def corrected(
        self, theta: FloatArray, gradient: FloatArray, own: FloatArray | None
    ) -> FloatArray:
        """g + μ (θ − θ_t) − c_i + c (P,), as far as the rule asks for it.

        Args:
            own: the client's control variate c_i (P,).
        """
        if self.rule.proximal:
            gradient = gradient + self.rule.proximal * (theta - self.theta)
        if self.rule.control and self.control is not None and own is not None:
            gradient = gradient - own + self.control
        return gradient


@runtime_checkable
class Strategy(Protocol):
    """Makes the server's next model."""

    sees_updates: ClassVar[bool]
    """Whether it compares single updates; otherwise a weighted sum of them is enough."""

    def local(self) -> LocalRule:
        """What it changes in the training of a client."""
        ...

    def check(self, n_updates: int) -> None:
        """Check the number of updates of a round, before a run and before each `update`.

        Raises:
            ConfigError: too few.
        """
        ...

    def init(self, theta: FloatArray) -> StrategyState:
        """The state before the first round; always with the same keys and shapes."""
        ...

    def update(
        self,
        state: Mapping[str, FloatArray],
        theta: FloatArray,
        updates: Sequence[ClientUpdate],
        n_clients: int,
    ) -> tuple[FloatArray, StrategyState]:
        """The next model (P,) and state; changes none of its arguments.

        Args:
            updates: of this round, sorted by client; at least one.
            n_clients: N.
        """
        ...


def stacked(updates: Sequence[ClientUpdate]) -> FloatArray:
    """The models of the clients (S, P)."""
    return np.stack([update.theta for update in updates])


def mean_model(updates: Sequence[ClientUpdate], weights: Weights) -> FloatArray:
    """Σ w_i θ_i with Σ w_i = 1 (P,), added in the order of the updates; that of one is its bits."""
    counts = np.array([1 if weights == "uniform" else update.n_rows for update in updates], float)
    shares = counts / counts.sum()
    total: FloatArray = shares[0] * updates[0].theta
    for share, update in zip(shares[1:], updates[1:], strict=True):
        total = total + share * update.theta
    return total

"""One round of a federation: pure policies around the training of the clients.

    choose → ask each client → check what it sent → strategy → next state

A round gives a whole new state or, with too few sound updates, leaves all as it was: no client's
memory and no parameter changes. The caller commits the state; a crash before that repeats the
round, with the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from qstore_ray.data.batches.order import shuffled
from qstore_ray.errors import CheckpointError, QStoreError
from qstore_ray.federated.checks import fault_of
from qstore_ray.federated.config import FederationConfig
from qstore_ray.federated.secure_sum.run import secure_sum
from qstore_ray.federated.strategies.base import ClientUpdate, LocalRule, Strategy

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, FloatArray

_CHOICE = 0xFED1  # keeps this use of a seed apart from others


class RoundTask(NamedTuple):
    """What the server asks of a client.

    Attributes:
        round: its number, from 0. theta: the server's model (P,). rule: of the strategy.
        control: the server's control variate (P,), with SCAFFOLD.
    """

    round: int
    theta: FloatArray
    rule: LocalRule
    control: FloatArray | None = None

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


class Client(Protocol):
    """Trains on its own rows. What it remembers is given to it and taken back by the caller."""

    def train(
        self, task: RoundTask, memory: Mapping[str, AnyArray]
    ) -> tuple[ClientUpdate, Mapping[str, AnyArray]]:
        """Its update, and what it remembers if the round is committed; changes nothing.

        Args:
            memory: what it returned in its last committed round; empty in its first.

        Raises:
            QStoreError: it could not train; the round goes on without it.
        """
        ...


@dataclass(frozen=True)
class FederationState:
    """A point between two rounds.

    Attributes:
        theta: the server's model (P,). strategy: its strategy's arrays.
        round: rounds done. failed: how many of the last ones changed nothing.
        clients: what each client remembers, by its id.
    """

    theta: FloatArray
    strategy: Mapping[str, FloatArray]
    round: int = 0
    failed: int = 0
    clients: Mapping[str, Mapping[str, AnyArray]] = field(default_factory=dict)

    def to_arrays(self, ids: Sequence[str]) -> dict[str, AnyArray]:
        """As named arrays; `from_arrays` gives it back bit for bit.

        Args:
            ids: of all clients, whose places name their arrays.
        """
        arrays: dict[str, AnyArray] = {"theta": self.theta}
        arrays |= {"round": np.array(self.round), "failed": np.array(self.failed)}
        arrays |= {f"strategy.{name}": value for name, value in self.strategy.items()}
        for place, client in enumerate(sorted(ids)):
            for name, value in self.clients.get(client, {}).items():
                arrays[f"client.{place}.{name}"] = value
        return arrays

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, AnyArray], like: FederationState, ids: Sequence[str]
    ) -> FederationState:
        """The state that `to_arrays` wrote for the same clients.

        Raises:
            CheckpointError: it is of another model or strategy.
        """
        names = {f"strategy.{name}" for name in like.strategy}
        found = {name for name in arrays if name.startswith("strategy.")}
        if found != names or arrays["theta"].shape != like.theta.shape:
            raise CheckpointError(
                "the checkpoint belongs to another model or strategy", value=sorted(found ^ names)
            )
        clients: dict[str, dict[str, AnyArray]] = {}
        known = sorted(ids)
        for name, value in arrays.items():
            if name.startswith("client."):
                _, place, own = name.split(".", 2)
                clients.setdefault(known[int(place)], {})[own] = value
        return cls(
            theta=arrays["theta"],
            strategy={name: arrays[f"strategy.{name}"] for name in like.strategy},
            round=int(arrays["round"]),
            failed=int(arrays["failed"]),
            clients=clients,
        )


class RoundRecord(NamedTuple):
    """What happened in a round.

    Attributes:
        round: its number. asked: ids. excluded: why, by id. used: ids whose updates counted.
        loss: their mean training loss, weighted by rows; NaN if the round changed nothing.
        change: ‖θ_{t+1} − θ_t‖.
    """

    round: int
    asked: tuple[str, ...]
    excluded: Mapping[str, str]
    used: tuple[str, ...]
    loss: float
    change: float


def first_state(strategy: Strategy, theta: FloatArray) -> FederationState:
    """The state before the first round."""
    return FederationState(theta, strategy.init(theta))


def chosen_clients(ids: Sequence[str], count: int, seed: int, round_number: int) -> list[str]:
    """The clients that are asked in a round, sorted; their order in `ids` does not matter."""
    known = sorted(ids)
    return sorted(known[i] for i in shuffled(len(known), seed, _CHOICE, round_number)[:count])


def run_round(
    state: FederationState,
    clients: Mapping[str, Client],
    strategy: Strategy,
    config: FederationConfig,
) -> tuple[FederationState, RoundRecord]:
    """The state after one more round, and what happened in it."""
    asked = chosen_clients(list(clients), config.per_round(len(clients)), config.seed, state.round)
    task = RoundTask(state.round, state.theta, strategy.local(), state.strategy.get("control"))
    updates: list[ClientUpdate] = []
    memories: dict[str, Mapping[str, AnyArray]] = {}
    excluded: dict[str, str] = {}
    for client in asked:
        try:
            update, memory = clients[client].train(task, state.clients.get(client, {}))
        except QStoreError as exc:
            excluded[client] = f"{type(exc).__name__}: {exc}"
            continue
        fault = fault_of(update, client, task, config.largest_change)
        if fault:
            excluded[client] = fault
            continue
        updates.append(update)
        memories[client] = memory
    used = tuple(update.client for update in updates)
    needed = config.hidden_threshold(len(asked)) if config.secure_sum else 1
    if len(updates) < needed or _shortage(updates, strategy, config):
        record = RoundRecord(state.round, tuple(asked), excluded, (), math.nan, 0.0)
        return replace(state, round=state.round + 1, failed=state.failed + 1), record
    if config.secure_sum:
        updates = hidden_updates(updates, task, needed)
    theta, after = strategy.update(state.strategy, state.theta, updates, len(clients))
    rows = np.array([update.n_rows for update in updates], float)
    loss = float(rows @ [update.loss for update in updates] / rows.sum())
    change = float(np.linalg.norm(theta - state.theta))
    following = FederationState(theta, after, state.round + 1, 0, {**state.clients, **memories})
    return following, RoundRecord(state.round, tuple(asked), excluded, used, loss, change)


def hidden_updates(
    updates: Sequence[ClientUpdate], task: RoundTask, threshold: int
) -> list[ClientUpdate]:
    """Updates of which each is the mean of all, from a secure sum of what the clients changed.

    Model, control variate and loss are summed as one vector. The numbers of rows stay with the
    clients.
    """
    vectors = {}
    for update in updates:
        control = [] if update.control is None else [update.control]
        parts = [update.theta - task.theta, *control, np.array([update.loss])]
        vectors[update.client] = np.concatenate(parts)
    total, _ = secure_sum(vectors, threshold)
    mean, size = total / len(updates), len(task.theta)
    return [
        update._replace(
            theta=task.theta + mean[:size],
            n_rows=1,
            loss=float(mean[-1]),
            control=None if update.control is None else mean[size:-1],
        )
        for update in updates
    ]


def _shortage(
    updates: Sequence[ClientUpdate], strategy: Strategy, config: FederationConfig
) -> bool:
    """Whether too few updates are left for the strategy, or for the configuration."""
    if len(updates) < config.fewest_updates:
        return True
    try:
        strategy.check(len(updates))
    except QStoreError:
        return True
    return False

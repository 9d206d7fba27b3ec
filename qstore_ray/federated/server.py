"""One round of a federation: pure policies around the training of the clients.

    choose → ask each client → check what it sent → write down who was in → strategy → next state

A round gives a whole new state or, with too few sound updates, leaves all as it was: no client's
memory and no parameter changes. The caller commits the state; a crash before that repeats the
round, with the same clients and the same bits.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from qstore_ray.data.batches.order import shuffled
from qstore_ray.errors import CheckpointError, QStoreError
from qstore_ray.federated.checks import fault_of, memory_fault
from qstore_ray.federated.config import FederationConfig
from qstore_ray.federated.fleet import ClientFault, Fleet
from qstore_ray.federated.hosts.member import HiddenUpdate
from qstore_ray.federated.journal import Membership, RoundJournal
from qstore_ray.federated.secure_sum import crypto
from qstore_ray.federated.secure_sum.graph import GraphRule
from qstore_ray.federated.secure_sum.run import check_threshold, collected_sum
from qstore_ray.federated.strategies.base import ClientUpdate, RoundTask, Strategy

if TYPE_CHECKING:
    from qstore_ray.federated.privacy.clients import ClientPrivacy
    from qstore_ray.types import AnyArray, FloatArray

_CHOICE = 0xFED1  # keeps this use of a seed apart from others


@dataclass(frozen=True)
class FederationState:
    """A point between two rounds.

    Attributes:
        theta: the server's model (P,). strategy: its strategy's arrays.
        round: rounds done. failed: how many of the last ones changed nothing.
        clients: what each client remembers, by its id; sealed by those that keep their rows.
        asked: how often each client was asked, also where it did not answer.
        privacy: what a federation with client-level privacy has spent; empty for any other.
    """

    theta: FloatArray
    strategy: Mapping[str, FloatArray]
    round: int = 0
    failed: int = 0
    clients: Mapping[str, Mapping[str, AnyArray]] = field(default_factory=dict)
    asked: Mapping[str, int] = field(default_factory=dict)
    privacy: Mapping[str, AnyArray] = field(default_factory=dict)

    def to_arrays(self) -> dict[str, AnyArray]:
        """As named arrays; `from_arrays` gives it back bit for bit."""
        arrays: dict[str, AnyArray] = {"theta": self.theta}
        arrays |= {"round": np.array(self.round), "failed": np.array(self.failed)}
        arrays |= {f"strategy.{name}": value for name, value in self.strategy.items()}
        arrays |= {f"privacy.{name}": value for name, value in self.privacy.items()}
        ids = sorted({*self.clients, *self.asked})
        arrays["clients"] = np.array(ids, np.str_)
        arrays["asked"] = np.array([self.asked.get(client, 0) for client in ids], np.int64)
        for place, client in enumerate(ids):
            for name, value in self.clients.get(client, {}).items():
                arrays[f"client.{place}.{name}"] = value
        return arrays

    def with_key(self, name: str, digest: AnyArray) -> FederationState:
        """The same with another key of the noise."""
        return replace(self, privacy={**self.privacy, name: digest})

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, AnyArray], like: FederationState) -> FederationState:
        """The state that `to_arrays` wrote.

        Raises:
            CheckpointError: it is of another model or strategy.
        """
        names = {f"strategy.{name}" for name in like.strategy}
        found = {name for name in arrays if name.startswith("strategy.")}
        if found != names or arrays["theta"].shape != like.theta.shape:
            raise CheckpointError(
                "the checkpoint belongs to another model or strategy", value=sorted(found ^ names)
            )
        known = [str(client) for client in arrays["clients"]]
        clients: dict[str, dict[str, AnyArray]] = {}
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
            asked=dict(zip(known, map(int, arrays["asked"]), strict=True)),
            privacy={name: arrays[f"privacy.{name}"] for name in like.privacy},
        )


class RoundRecord(NamedTuple):
    """What happened in a round.

    Attributes:
        round: its number. asked: clients that were asked. excluded: why the updates of some did
            not count, or what a client did wrong after its masked vector was added. used: clients
            whose updates counted.
        loss: their mean training loss, weighted by rows; NaN if the round changed nothing, or if
            it is not known.
        change: ‖θ_{t+1} − θ_t‖.
        losses: of each client that was used; empty if the server sees no single update.
        sent, received: bytes of models, masks and memories, to and from the clients.
        seconds: that the round took.
    """

    round: int
    asked: tuple[str, ...]
    excluded: Mapping[str, str]
    used: tuple[str, ...]
    loss: float
    change: float
    losses: Mapping[str, float] = {}
    sent: int = 0
    received: int = 0
    seconds: float = 0.0


def first_state(
    strategy: Strategy, theta: FloatArray, spent: Mapping[str, AnyArray] | None = None
) -> FederationState:
    """The state before the first round."""
    return FederationState(theta, strategy.init(theta), privacy=spent or {})


def chosen_clients(ids: Sequence[str], count: int, seed: int, round_number: int) -> list[str]:
    """The clients that are asked in a round, sorted; their order in `ids` does not matter."""
    known = sorted(ids)
    return sorted(known[i] for i in shuffled(len(known), seed, _CHOICE, round_number)[:count])


def run_round(
    state: FederationState,
    fleet: Fleet,
    strategy: Strategy,
    config: FederationConfig,
    *,
    journal: RoundJournal | None = None,
    private: ClientPrivacy | None = None,
    run: str = "",
) -> tuple[FederationState, RoundRecord]:
    """The state after one more round, and what happened in it.

    Args:
        journal: who was in the rounds; a round that it has is repeated with the same clients.
        private: clips and hides the part of each client in the model.
        run: names the run to its clients.
    """
    began = time.monotonic()
    journal = RoundJournal() if journal is None else journal
    asks = _Round(state, fleet, strategy, config, private, run)
    found = asks.collect(journal.decided(state.round))
    used = tuple(update.client for update in found.updates)
    membership = Membership(found.asked, used, found.excluded)
    decision = journal.decide(state.round, membership)
    counts = {client: state.asked.get(client, 0) + 1 for client in found.asked}
    asked = {**state.asked, **counts}
    after = replace(state, round=state.round + 1, asked=asked)
    record = RoundRecord(
        state.round, found.asked, found.excluded, used, math.nan, 0.0,
        sent=asks.sent, received=asks.received,
    )  # fmt: skip
    n_clients = len(fleet.ids)
    updates, seen = found.updates, () if found.hidden else found.updates
    if private is not None and not found.failed:
        updates = [private.release(updates, state.theta, n_clients, (state.round, decision))]
        after = replace(after, privacy=private.update(state.privacy))
        seen = ()
    if found.failed or not updates:
        record = record._replace(used=(), seconds=time.monotonic() - began)
        return replace(after, failed=state.failed + 1), record
    theta, inner = strategy.update(state.strategy, state.theta, updates, n_clients)
    rows = np.array([update.n_rows for update in updates], float)
    loss = float(rows @ [update.loss for update in updates] / rows.sum())
    failed = state.failed + 1 if found.asked and not used else 0  # noise alone is released then
    memories = {**state.clients, **found.memories}
    after = replace(after, theta=theta, strategy=inner, failed=failed, clients=memories)
    return after, record._replace(
        loss=math.nan if private is not None else loss,
        change=float(np.linalg.norm(theta - state.theta)),
        losses={update.client: update.loss for update in seen},
        seconds=time.monotonic() - began,
    )


class _Collected(NamedTuple):
    """What the clients of a round sent; `hidden` if each update is the mean of all."""

    asked: tuple[str, ...]
    excluded: dict[str, str]
    updates: list[ClientUpdate]
    memories: dict[str, Mapping[str, AnyArray]]
    failed: bool
    hidden: bool


class _Round:
    """Asks the clients of one round, and counts the bytes."""

    def __init__(
        self,
        state: FederationState,
        fleet: Fleet,
        strategy: Strategy,
        config: FederationConfig,
        private: ClientPrivacy | None,
        run: str,
    ) -> None:
        self._state, self._fleet, self._strategy, self._config = state, fleet, strategy, config
        self._private = private
        self._task = RoundTask(
            state.round, state.theta, strategy.local(), state.strategy.get("control"), run,
            config.secure_sum, None if private is None else private.clip,
        )  # fmt: skip
        self._seconds = config.deadline
        self._excluded: dict[str, str] = {}
        self.sent = self.received = 0

    def collect(self, decided: Membership | None) -> _Collected:
        """Sound updates, sorted by client.

        Args:
            decided: who was in this round before; those alone are asked, however long they take.
        """
        state, config = self._state, self._config
        asked = self._chosen() if decided is None else decided.asked
        trains = asked
        if decided is not None:
            self._seconds, trains = None, decided.used
            self._excluded.update(decided.excluded)
        arguments = {
            client: (self._task, state.clients.get(client, {}), state.asked.get(client, 0))
            for client in trains
        }
        answers = self._ask("train", arguments)
        updates, memories = [], {}
        for client, answer in answers.items():
            if fault := self._fault(answer, client):
                self._excluded[client] = fault
                continue
            updates.append(answer[0])
            memories[client] = answer[1]
        needed = config.hidden_threshold(len(asked)) if config.secure_sum else 1
        failed = self._private is None and (
            len(updates) < needed or self._shortage(len(updates))
        )  # fmt: skip
        if config.secure_sum and not failed:
            rule = config.sum_rule(len(asked))
            updates, failed = self._hidden([each.client for each in updates], needed, rule)
        memories = {update.client: memories[update.client] for update in updates}
        excluded = dict(sorted(self._excluded.items()))
        return _Collected(tuple(asked), excluded, updates, memories, failed, config.secure_sum)

    def _chosen(self) -> tuple[str, ...]:
        ids, config, number = self._fleet.ids, self._config, self._state.round
        if self._private is not None and self._private.draws_clients:
            return self._private.chosen(ids, number)
        return tuple(chosen_clients(ids, config.per_round(len(ids)), config.seed, number))

    def _ask(self, message: str, arguments: Mapping[str, tuple[Any, ...]]) -> dict[str, Any]:
        """The answers of those that answer; the others are excluded, with the reason."""
        self.sent += _size(arguments)
        found = {}
        for client, answer in self._fleet.ask(message, arguments, self._seconds).items():
            if isinstance(answer, ClientFault):
                self._excluded[client] = answer.reason
            else:
                found[client] = answer
        self.received += _size(found)
        return found

    def _fault(self, answer: Any, client: str) -> str:
        """Why what a client sent after its training is excluded; "" for a sound answer."""
        is_pair = isinstance(answer, tuple) and len(answer) == 2
        update = answer[0] if is_pair else answer
        if self._config.secure_sum:
            expected = HiddenUpdate(client, self._task.round)
            if not is_pair or type(update) is not HiddenUpdate or update != expected:
                return f"it sent {type(update).__name__}"
        elif not is_pair or not isinstance(update, ClientUpdate):
            return f"it sent {type(update).__name__} instead of an update"
        elif fault := fault_of(update, client, self._task, self._config.largest_change):
            return fault
        return memory_fault(answer[1])

    def _shortage(self, count: int) -> bool:
        """Whether too few updates are left for the strategy, or for the configuration."""
        if count < self._config.fewest_updates:
            return True
        try:
            self._strategy.check(count)
        except QStoreError:
            return True
        return False

    def _hidden(
        self, clients: list[str], threshold: int, rule: GraphRule
    ) -> tuple[list[ClientUpdate], bool]:
        """Updates of which each is the mean of all, from a secure sum; whether it was given up.

        Model, control variate and loss are summed as one vector. The numbers of rows stay with the
        clients.
        """
        task = self._task
        numbers = dict(enumerate(clients, start=1))
        length = len(task.theta) + (0 if task.control is None else len(task.theta)) + 1

        def ask(message: str, arguments: Mapping[int, tuple[Any, ...]]) -> dict[int, Any]:
            by_name = {numbers[number]: given for number, given in arguments.items()}
            answers = self._ask(message, by_name)
            return {number: answers[name] for number, name in numbers.items() if name in answers}

        def blame(number: int, said: str) -> None:
            self._excluded[numbers[number]] = blamed[numbers[number]] = said

        blamed: dict[str, str] = {}
        try:
            check_threshold(threshold, len(clients))
            total, stayed = collected_sum(
                ask, numbers, crypto.new_secret(), threshold, length,
                rule=rule, blame=blame,
            )  # fmt: skip
        except QStoreError as exc:
            self._excluded |= {c: f"the sum was given up: {exc.message}" for c in clients
                               if c not in self._excluded}  # fmt: skip
            return [], True
        names = [numbers[number] for number in sorted(stayed)]
        for client in set(names) & self._excluded.keys() - blamed.keys():
            del self._excluded[client]  # it left after its input
        mean, size = total / len(names), len(task.theta)
        control = None if task.control is None else mean[size:-1]
        theta = task.theta + mean[:size]
        loss = float(mean[-1])
        return [ClientUpdate(name, task.round, theta, 1, loss, control) for name in names], False


def _size(value: Any) -> int:
    """Bytes of the arrays and texts in a message."""
    if isinstance(value, bytes):
        return len(value)
    if isinstance(value, np.ndarray):
        return int(value.nbytes)
    if isinstance(value, tuple | list):
        return sum(map(_size, value))
    if isinstance(value, Mapping):
        return sum(map(_size, value.values()))
    return 0

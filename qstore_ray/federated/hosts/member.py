"""A client's side of a round: it trains, hides what it sends, and seals what it remembers.

It lives where the client's rows are: in this process or in an actor. Nothing leaves it but what
the messages below return. In a round with a secure sum `train` returns a receipt, and the update
stays here until `masked` sends it under its masks.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import numpy as np

from qstore_ray.errors import QStoreError, RunError
from qstore_ray.federated.checks import fault_of
from qstore_ray.federated.fleet import ClientFault
from qstore_ray.federated.secure_sum import crypto
from qstore_ray.federated.secure_sum.graph import SumGraph
from qstore_ray.federated.secure_sum.member import OpenedShares, SealedShares, SumMember
from qstore_ray.federated.strategies.base import ClientUpdate, RoundTask

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, FloatArray

_SEALED: Final = "sealed"


class HiddenUpdate(NamedTuple):
    """The receipt of an update that stays with its client until it is masked."""

    client: str
    round: int


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


class RoundMember:
    """A client in the rounds of a federation.

    Args:
        name: its id.
        secret: seals what it remembers, so that a server keeps it without reading it; None for
            clients whose rows the server has anyway.
    """

    def __init__(self, name: str, client: Client, secret: bytes | None = None) -> None:
        self._name, self._client, self._secret = name, client, secret
        self._vector: FloatArray | None = None
        self._sum: SumMember | None = None

    def ask(self, message: str, arguments: tuple[Any, ...]) -> Any:
        """See `HostedClient`."""
        answers: dict[str, Callable[..., Any]] = {
            "train": self.train, "keys": self.keys, "shares": self.shares, "masked": self.masked,
            "unmask": self.unmask,
        }  # fmt: skip
        return answers[message](*arguments)

    def fault(self, error: QStoreError) -> ClientFault:
        """See `HostedClient`. A client that keeps its rows reports no value."""
        if self._secret is None:
            return ClientFault(f"{type(error).__name__}: {error}", error)
        return ClientFault(f"{type(error).__name__}, field {error.field!r}")

    def train(
        self, task: RoundTask, memory: Mapping[str, AnyArray], asked: int = 0
    ) -> tuple[ClientUpdate | HiddenUpdate, Mapping[str, AnyArray]]:
        """Its update or the receipt of one, and what it remembers if the round is committed.

        Raises:
            RunError: the update does not fit the task, or is not finite.
            QStoreError: see `Client`; CheckpointError: its memory is not the one that it sealed.
        """
        self._vector = self._sum = None
        update, after = self._client.train(
            task._replace(asked=asked), self._opened(memory, task.run)
        )
        if task.clip is not None:
            update = clipped(update, task)
        sent: ClientUpdate | HiddenUpdate = update
        if task.hidden:
            if fault := fault_of(update, self._name, task, None):
                raise RunError(fault, field=f"clients.{self._name}")
            self._vector = summed_vector(update, task)
            sent = HiddenUpdate(self._name, task.round)
        return sent, self._sealed(after, task.run)

    def keys(self, number: int, session: bytes, threshold: int) -> bytes:
        """Message 0 of a secure sum; see `SumMember`."""
        self._sum = SumMember(number, session, threshold)
        return self._sum.keys()

    def shares(self, keys: Mapping[int, bytes], graph: SumGraph) -> SealedShares:
        """Message 1 of a secure sum."""
        return self._member().shares(keys, graph)

    def masked(self, shares: Mapping[int, bytes]) -> AnyArray:
        """Message 2 of a secure sum; the update is forgotten afterwards.

        Raises:
            RunError: it has trained no update for this sum.
        """
        vector, self._vector = self._vector, None
        if vector is None:
            raise RunError("it has no update for this sum", field=f"clients.{self._name}")
        return self._member().masked(vector, shares)

    def unmask(self, stayed: frozenset[int]) -> OpenedShares:
        """Message 3 of a secure sum."""
        return self._member().unmask(stayed)

    def _member(self) -> SumMember:
        if self._sum is None:  # its process was started again during the sum
            raise RunError("it takes no part in this sum", field=f"clients.{self._name}")
        return self._sum

    def _about(self, run: str) -> str:
        return f"{run} {self._name}"

    def _sealed(self, memory: Mapping[str, AnyArray], run: str) -> Mapping[str, AnyArray]:
        if self._secret is None:
            return memory
        buffer = io.BytesIO()
        np.savez(buffer, **dict(memory))  # type: ignore[arg-type]  # the stub wants a bool first
        found = crypto.sealed_memory(self._secret, buffer.getvalue(), self._about(run))
        return {_SEALED: np.frombuffer(found, np.uint8)}

    def _opened(self, memory: Mapping[str, AnyArray], run: str) -> Mapping[str, AnyArray]:
        if self._secret is None or not memory:
            return memory
        data = crypto.opened_memory(self._secret, memory[_SEALED].tobytes(), self._about(run))
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}


def clipped(update: ClientUpdate, task: RoundTask) -> ClientUpdate:
    """The update with a change of θ of norm C at most; it has no control variate and no loss.

    Those would be further releases, which the account does not know.
    """
    assert task.clip is not None, "asked for only if updates are clipped"
    change = update.theta - task.theta
    norm = float(np.linalg.norm(change))
    factor = min(1.0, task.clip / norm) if norm > 0.0 else 1.0
    theta = update.theta if factor == 1.0 else task.theta + factor * change
    return update._replace(theta=theta, n_rows=1, loss=0.0, control=None)


def summed_vector(update: ClientUpdate, task: RoundTask) -> FloatArray:
    """What a secure sum adds up: the change of θ, of the control variate if any, and the loss."""
    control = [] if update.control is None else [update.control]
    return np.concatenate([update.theta - task.theta, *control, np.array([update.loss])])

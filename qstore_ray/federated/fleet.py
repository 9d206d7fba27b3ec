"""The clients as the server reaches them: all are asked by messages, wherever they live.

    LocalFleet   in this process, one after another
    RayFleet     in Ray actors (`federated.ray`), which answer the same messages in the same way

A message is a name and its arguments; the answer of a client that failed, was late or is gone is a
`ClientFault`, so a round continues without it.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeAlias, runtime_checkable

from qstore_ray.errors import QStoreError

Answer: TypeAlias = Any
"""What a client answers to a message, which depends on the message, or a `ClientFault`."""

AnyClient: TypeAlias = Any
"""A client as a fleet takes it: a `HostedClient`, or what its actor makes one from."""


ROUND_MESSAGES: Final = frozenset({"train", "keys", "shares", "masked", "unmask"})
"""What clients are asked in a round; a run that is to stop gives the round up."""


@runtime_checkable
class ShowsAnswers(Protocol):
    """A display that shows how many clients of a round have trained."""

    def answered(self, count: int, asked: int) -> None:
        """So many of those that were asked. Called in the server's thread."""
        ...


@dataclass(frozen=True)
class RoundWatch:
    """What stops a round, and who is told how far it is. Used in the server's process.

    Attributes:
        stop: when set, the round is given up; it is taken again when the run is resumed.
        display: shows the answers; None for nobody.
    """

    stop: threading.Event = field(default_factory=threading.Event)
    display: ShowsAnswers | None = None

    def check(self, message: str, count: int, asked: int) -> None:
        """Called before, between and after the answers to a message.

        Raises:
            KeyboardInterrupt: the run is to stop.
        """
        if message not in ROUND_MESSAGES:
            return
        if self.stop.is_set():
            raise KeyboardInterrupt
        if message == "train" and self.display is not None:
            self.display.answered(count, asked)


@dataclass(frozen=True)
class ClientFault:
    """Why a client gave no answer.

    Attributes:
        reason: for the record of the round.
        error: what it raised; None if it sent none, or is a client that keeps its errors.
    """

    reason: str
    error: QStoreError | None = None


class HostedClient(Protocol):
    """A client where its rows are."""

    def ask(self, message: str, arguments: tuple[Any, ...]) -> Any:
        """Its answer.

        Raises:
            QStoreError: it has none.
        """
        ...

    def fault(self, error: QStoreError) -> ClientFault:
        """What it reports of an error."""
        ...


class Fleet(Protocol):
    """All clients of a federation. Used in the server's process."""

    @property
    def ids(self) -> tuple[str, ...]:
        """Of all clients, sorted."""
        ...

    def ask(
        self, message: str, arguments: Mapping[str, tuple[Any, ...]], seconds: float | None = None
    ) -> dict[str, Answer]:
        """What each client answers, by its id, sorted; a `ClientFault` if it does not.

        Args:
            arguments: of each client that is asked.
            seconds: an answer that comes later is dropped; None waits.
        """
        ...

    def add(self, clients: Mapping[str, AnyClient]) -> None:
        """More clients."""
        ...

    def close(self) -> None:
        """End what it has started."""
        ...


def late_fault(seconds: float) -> ClientFault:
    """The fault of a client that did not answer within the deadline."""
    return ClientFault(f"it was late: no update after {seconds:g} s")


def answer_of(client: HostedClient, message: str, arguments: tuple[Any, ...]) -> Any:
    """What a client answers, or its fault. Runs where the client lives."""
    try:
        return client.ask(message, arguments)
    except QStoreError as exc:
        return client.fault(exc)


class LocalFleet:
    """Clients in this process. They are asked one after another, sorted by id.

    Args:
        clock: gives seconds, for deadlines.
    """

    def __init__(
        self,
        clients: Mapping[str, HostedClient],
        clock: Callable[[], float] = time.monotonic,
        watch: RoundWatch | None = None,
    ) -> None:
        self._clients, self._clock = dict(clients), clock
        self._watch = watch or RoundWatch()

    @property
    def ids(self) -> tuple[str, ...]:
        """See `Fleet`."""
        return tuple(sorted(self._clients))

    def ask(
        self, message: str, arguments: Mapping[str, tuple[Any, ...]], seconds: float | None = None
    ) -> dict[str, Answer]:
        """See `Fleet`; after the deadline the others are not asked any more."""
        began, answers = self._clock(), {}
        for place, client in enumerate(sorted(arguments)):
            self._watch.check(message, place, len(arguments))
            is_over = seconds is not None and self._clock() - began > seconds
            if not is_over:
                answers[client] = self._answer(client, message, arguments[client])
            if seconds is not None and self._clock() - began > seconds:
                answers[client] = late_fault(seconds)
        self._watch.check(message, len(answers), len(arguments))
        return answers

    def _answer(self, client: str, message: str, arguments: tuple[Any, ...]) -> Any:
        is_answered = False
        try:
            answer = answer_of(self._clients[client], message, arguments)
            is_answered = True
        finally:  # a fault of a program says whose rows it met
            raised = None if is_answered else sys.exception()
            if raised is not None:
                raised.add_note(f"client {client}")
        return answer

    def add(self, clients: Mapping[str, HostedClient]) -> None:
        """See `Fleet`."""
        self._clients |= clients

    def close(self) -> None:
        """See `Fleet`; there is nothing to end."""

"""Calls that wait for their outcomes, in the threads that made them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from qstore_ray.backends.ibm.call import HardwareCall
from qstore_ray.backends.ibm.requests import CircuitRequest
from qstore_ray.deadline import wait_patiently
from qstore_ray.errors import InterruptedRunError

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray

QUEUE_SECONDS: Final = 1800.0
"""For how long a call may be in the queue of a device before a warning says so."""


@dataclass(eq=False)
class CallWaiter:
    """A call that waits for its pieces; `arrival` is when it was made."""

    call: HardwareCall
    pieces: dict[str, CircuitRequest]
    arrival: float
    found: dict[str, list[AnyArray]] = field(default_factory=dict)
    error: BaseException | None = None
    done: threading.Event = field(default_factory=threading.Event)

    def until_done(self) -> None:
        """Wait until there is an answer or an error, however long the queue of the device is."""
        wait_patiently(self.done.wait, "the device", first_warning=QUEUE_SECONDS)

    def answer(self) -> list[AnyArray]:
        """The outcomes of each basis (N, S, bytes)."""
        if self.error is not None:
            raise self.error
        ordered = sorted(self.pieces.values(), key=lambda piece: piece.first_row)
        parts = [self.found[piece.key] for piece in ordered]
        return [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]

    def fail(self, error: BaseException) -> None:
        """End the wait with an error, unless it has ended."""
        if not self.done.is_set():
            self.error = error
            self.done.set()


class WaitingCalls:
    """Calls by the keys of the pieces that they wait for. Used by the gateway's thread alone."""

    def __init__(self) -> None:
        self._by_key: dict[str, list[CallWaiter]] = {}

    def __bool__(self) -> bool:
        """Whether a call waits."""
        return bool(self._by_key)

    def __contains__(self, key: str) -> bool:
        """Whether a call waits for this piece."""
        return key in self._by_key

    def __iter__(self) -> Iterator[CallWaiter]:
        """Each call once."""
        return iter({waiter for many in self._by_key.values() for waiter in many})

    def add(self, key: str, waiter: CallWaiter) -> None:
        """Let a call wait for a piece."""
        self._by_key.setdefault(key, []).append(waiter)

    def piece(self, key: str) -> CircuitRequest | None:
        """The piece with this key; None if no call waits for it."""
        return None if key not in self._by_key else self._by_key[key][0].pieces[key]

    def call(self, key: str) -> HardwareCall:
        """A call that waits for this piece."""
        return self._by_key[key][0].call

    def forget(self, waiter: CallWaiter) -> None:
        """Remove a call."""
        for key in waiter.pieces:
            left = [each for each in self._by_key.get(key, ()) if each is not waiter]
            if left:
                self._by_key[key] = left
            else:
                self._by_key.pop(key, None)

    def fail(self, key: str, error: BaseException) -> None:
        """End the calls that wait for a piece with an error."""
        for waiter in self._by_key.get(key, []).copy():
            self.forget(waiter)
            waiter.fail(error)

    def deliver(self, key: str, found: list[AnyArray]) -> None:
        """Give a piece to the calls that wait for it."""
        for waiter in self._by_key.pop(key):
            waiter.found[key] = found
            if len(waiter.found) == len(waiter.pieces):
                waiter.done.set()


def trial_ended_error(trial: str) -> InterruptedRunError:
    """The error for a trial that was withdrawn."""
    return InterruptedRunError("the search has ended this trial", field="run", value=trial)

"""Calls that are not run at once: counted for a forecast, or gathered into one job.

with recording() as gateway:
    backend.evaluate(...)           outcomes are blank; nothing is signed in to
gateway.take_turns()                what the gateway would have been asked for

with gathering() as gathered:
    backend.evaluate(...)           outcomes are blank; the calls are kept
with answering(outcomes):
    backend.evaluate(...)           the same calls, which have been run meanwhile
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from qstore_ray.backends.ibm.call import HardwareCall, blank_outcomes
from qstore_ray.backends.ibm.requests import CircuitRequest

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray


class RecordingGateway:
    """A gateway that keeps the requests.

    Attributes:
        turns: in the order of the calls; the requests of a turn wait at the same time.
        circuits: a call of each circuit.
    """

    def __init__(self) -> None:
        self.turns: list[list[CircuitRequest]] = []
        self.circuits: dict[str, HardwareCall] = {}

    def evaluate(self, call: HardwareCall) -> Sequence[AnyArray]:
        """Blank outcomes; see `Gateway.evaluate`."""
        return self.evaluate_all([call])[0]

    def evaluate_all(self, calls: Sequence[HardwareCall]) -> list[list[AnyArray]]:
        """Blank outcomes; see `Gateway.evaluate_all`."""
        self.turns.append([call.request for call in calls])
        for call in calls:
            self.circuits.setdefault(call.circuit, call.first_row())
        return [blank_outcomes(call) for call in calls]

    def withdraw(self, trial: str) -> None:
        """Do nothing: no request waits."""

    def take_turns(self) -> list[list[CircuitRequest]]:
        """The turns since the last call."""
        found, self.turns = self.turns, []
        return found

    def take(self) -> list[CircuitRequest]:
        """The requests since the last call, one after another."""
        return [request for turn in self.take_turns() for request in turn]


class GatheredCalls:
    """Calls that are to be run together, and their outcomes by key when they were."""

    def __init__(self, outcomes: Mapping[str, Sequence[AnyArray]] | None = None) -> None:
        self.calls: list[HardwareCall] = []
        self._outcomes = outcomes

    def evaluate(self, call: HardwareCall) -> Sequence[AnyArray]:
        """The outcomes; before they are known the call is kept, and they are blank."""
        if self._outcomes is not None:
            return self._outcomes[call.request.key]
        self.calls.append(call)
        return blank_outcomes(call)


_active: ContextVar[RecordingGateway | None] = ContextVar("recording gateway", default=None)
_gathered: ContextVar[GatheredCalls | None] = ContextVar("gathered calls", default=None)


def active_recording() -> RecordingGateway | None:
    """What records the calls of this thread; None outside of `recording`."""
    return _active.get()


def active_gathering() -> GatheredCalls | None:
    """What gathers or answers the calls of this thread; None outside of both."""
    return _gathered.get()


@contextmanager
def recording(gateway: RecordingGateway | None = None) -> Iterator[RecordingGateway]:
    """Record the calls of this thread's backends instead of running them.

    Args:
        gateway: what records them, and answers.
    """
    gateway = gateway or RecordingGateway()
    before = _active.set(gateway)
    try:
        yield gateway
    finally:
        _active.reset(before)


@contextmanager
def gathering() -> Iterator[GatheredCalls]:
    """Keep the calls of this thread's backends instead of running them."""
    with _gathering(GatheredCalls()) as gathered:
        yield gathered


@contextmanager
def answering(outcomes: Mapping[str, Sequence[AnyArray]]) -> Iterator[None]:
    """Answer the calls of this thread's backends with these outcomes, by key."""
    with _gathering(GatheredCalls(outcomes)):
        yield


@contextmanager
def _gathering(gathered: GatheredCalls) -> Iterator[GatheredCalls]:
    before = _gathered.set(gathered)
    try:
        yield gathered
    finally:
        _gathered.reset(before)

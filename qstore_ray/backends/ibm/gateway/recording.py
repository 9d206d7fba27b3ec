"""Counting calls instead of running them: what a forecast is made of, without the service.

with recording() as calls:
    backend.evaluate(...)           every outcome is zero; nothing is signed in to
calls.requests                      what the gateway would have been asked for
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

import numpy as np

from qstore_ray.backends.grouping import group_observables
from qstore_ray.backends.ibm.call import HardwareCall
from qstore_ray.backends.ibm.keys import circuit_fingerprint
from qstore_ray.backends.ibm.requests import CircuitRequest

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray


class RecordingGateway:
    """A gateway that keeps the requests.

    Attributes:
        requests: in the order of the calls.
        circuits: a call of each circuit.
    """

    def __init__(self) -> None:
        self.requests: list[CircuitRequest] = []
        self.circuits: dict[str, HardwareCall] = {}

    def evaluate(self, call: HardwareCall) -> Sequence[AnyArray]:
        """Outcomes that are all zero; see `Gateway.evaluate`."""
        self.requests.append(call.request)
        circuit = circuit_fingerprint(call.template, call.observables)
        self.circuits.setdefault(circuit, call.first_row())
        bases = group_observables(call.observables).bases
        sizes = [-(-len(basis.qubits) // 8) for basis in bases]
        # One shot in place of all: a row's outcomes are counted, and that takes time.
        return [np.zeros((call.request.rows, 1, size), np.uint8) for size in sizes]

    def withdraw(self, trial: str) -> None:
        """Do nothing: no request waits."""

    def take(self) -> list[CircuitRequest]:
        """The requests since the last call."""
        found, self.requests = self.requests, []
        return found


_active: ContextVar[RecordingGateway | None] = ContextVar("recording gateway", default=None)


def active_recording() -> RecordingGateway | None:
    """What records the calls of this thread; None outside of `recording`."""
    return _active.get()


@contextmanager
def recording() -> Iterator[RecordingGateway]:
    """Record the calls of this thread's backends instead of running them."""
    gateway = RecordingGateway()
    before = _active.set(gateway)
    try:
        yield gateway
    finally:
        _active.reset(before)

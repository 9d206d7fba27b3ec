"""A call that waits for its outcomes, in the thread that made it."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from qstore_ray.backends.ibm.call import HardwareCall
from qstore_ray.backends.ibm.requests import CircuitRequest
from qstore_ray.errors import InterruptedRunError

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray


@dataclass(eq=False)
class CallWaiter:
    """A call that waits for its pieces; `arrival` is when it was made."""

    call: HardwareCall
    pieces: dict[str, CircuitRequest]
    arrival: float
    found: dict[str, list[AnyArray]] = field(default_factory=dict)
    error: BaseException | None = None
    done: threading.Event = field(default_factory=threading.Event)

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


def trial_ended_error(trial: str) -> InterruptedRunError:
    """The error for a trial that was withdrawn."""
    return InterruptedRunError("the search has ended this trial", field="run", value=trial)

"""Calls with a time limit, for what may hang: a disk that is gone, a server that does not answer.

The timeouts of HTTP libraries bound the wait for the next byte, so a server that sends a byte now
and then can block a program forever. A deadline bounds the whole call. Python cannot end a thread:
the call runs in a daemon thread, which is left behind when its time is up, and which does not keep
the process alive.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from qstore_ray.errors import DataError, TransientError

T = TypeVar("T")
CALL = "call: "
"""How the names of the threads of `within` begin; what the call does follows."""


class TimedCall(Generic[T]):
    """A call that has begun in a thread of its own; several of them run side by side.

    Args:
        call: what is called. It may continue after its deadline, so it must not change shared
            state. name: of its thread.
    """

    def __init__(self, call: Callable[[], T], name: str = "timed") -> None:
        self._call = call
        self._results: list[T] = []
        self._errors: list[BaseException] = []
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def ends_within(self, seconds: float) -> bool:
        """Wait for the call; whether it has returned or raised."""
        self._thread.join(max(seconds, 0.0))
        return bool(self._results or self._errors)

    def result(self, seconds: float) -> T:
        """What the call has returned, or the error that it has raised.

        Args:
            seconds: how long to wait for it.

        Raises:
            TransientError: it has not returned.
        """
        if not self.ends_within(seconds):
            raise TransientError(
                f"timed out after {seconds:g} s", fix="Try again later, or allow more time."
            )
        if self._errors:
            raise self._errors[0]
        return self._results[0]

    def _run(self) -> None:
        try:
            self._results.append(self._call())
        except BaseException as exc:  # gate: QS104 because `result` raises it
            self._errors.append(exc)


def within(seconds: float, call: Callable[[], T], *, what: str, field: str) -> T:
    """What `call` returns, if it does so in time; `what` names it, `field` sets the seconds.

    Raises:
        DataError: the time is up.
        BaseException: any exception that `call` raises, unchanged.
    """
    timed = TimedCall(call, f"{CALL}{what}")
    if not timed.ends_within(seconds):
        raise DataError(
            f"{what} took longer than {seconds:g} s",
            field=field,
            value=seconds,
            fix="Check the network and the server, or allow more seconds.",
        )
    return timed.result(0.0)

"""Calls with a time limit, for what may hang: a disk that is gone, a server that does not answer.

Python cannot end a thread. So the call runs in a daemon thread, which is left behind when its time
is up, and which does not keep the process alive.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from qstore_ray.errors import TransientError

T = TypeVar("T")
_FIX = "Try again later, or allow more time."


class TimedCall(Generic[T]):
    """A call that has begun in a thread of its own; several of them run side by side.

    Args:
        call: what is called. name: of its thread.
    """

    def __init__(self, call: Callable[[], T], name: str = "timed") -> None:
        self._call = call
        self._results: list[T] = []
        self._errors: list[BaseException] = []
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def result(self, seconds: float) -> T:
        """What the call has returned, or the error that it has raised.

        Args:
            seconds: how long to wait for it.

        Raises:
            TransientError: it has not returned.
        """
        self._thread.join(max(seconds, 0.0))
        if self._errors:
            raise self._errors[0]
        if not self._results:
            raise TransientError(f"timed out after {seconds:g} s", fix=_FIX)
        return self._results[0]

    def _run(self) -> None:
        try:
            self._results.append(self._call())
        except BaseException as exc:  # noqa: BLE001 - `result` raises it, in the caller's thread
            self._errors.append(exc)

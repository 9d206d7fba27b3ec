"""Keeping out of the loop's way: how long a thread that computes may keep others waiting.

In a training without workers, trackers' threads and the loop share one Python interpreter. The
engine computes without it, and several times a step the loop needs it back. A thread that is in the
middle of something, such as importing MLflow or creating its database, which takes seconds, hands
it over when it has been asked for five milliseconds; that is longer than a small step, and comes
several times in each. So while a tracker works, the wait is a tenth of a millisecond.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_SECONDS: Final = 1e-4


class _Turns:
    """How many threads want short turns, and how long turns were before; one a process."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._wanted = 0
        self._usual = 0.0

    def want(self, more: int) -> None:
        """Count a thread in (1) or out (-1); the first one changes the turns, the last one back."""
        with self._lock:
            if self._wanted == 0:
                self._usual = sys.getswitchinterval()
                sys.setswitchinterval(min(_SECONDS, self._usual))
            self._wanted += more
            if self._wanted == 0:
                sys.setswitchinterval(self._usual)

    def forget(self) -> None:
        """In a process that was forked off: the threads that were counted are not there."""
        if self._wanted:
            sys.setswitchinterval(self._usual)
        self._begin()


_TURNS: Final = _Turns()
os.register_at_fork(after_in_child=_TURNS.forget)


@contextmanager
def short_turns() -> Iterator[None]:
    """In this block, no thread of the process waits for the interpreter for long."""
    _TURNS.want(1)
    try:
        yield
    finally:
        _TURNS.want(-1)

"""Trying again, within bounds.

A retry is only honest for a call that can be repeated without a second effect (reading a file from
an object store, asking a server for a page), and only for errors that may pass by themselves. The
pauses grow, are random, so that many clients do not come back at once, and the last error is raised
as it was.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
_FIRST_PAUSE = 0.1  # seconds, at most; doubled each time
_DRAWS = random.SystemRandom()  # the state of `random` belongs to the user


def call_with_retries(
    call: Callable[[], T],
    *,
    retry_on: tuple[type[BaseException], ...] | Callable[[BaseException], bool],
    attempts: int = 4,
    seconds: float | None = None,
    leave: threading.Event | None = None,
    longest_pause: float = 8.0,
    pause_asked: Callable[[BaseException], float | None] | None = None,
    between: Callable[[], None] | None = None,
) -> T:
    """Call `call` until it returns, pausing with jitter in between, within bounds.

    Args:
        call: a function without arguments that may be repeated safely.
        retry_on: error types that may pass by themselves, or a function that says whether an
            error is one; any other error is raised at once.
        attempts: calls in all, at least 1.
        seconds: time limit for all attempts; replaces `attempts`.
        leave: event that ends the wait between attempts.
        longest_pause: upper bound of one pause, in seconds.
        pause_asked: returns the minimum pause that an error requires, in seconds (a server's
            Retry-After), capped at `longest_pause`.
        between: called before every pause, to release what the failed call may have broken.

    Raises:
        BaseException: the error of the last attempt, unchanged.
    """
    kinds = retry_on if isinstance(retry_on, tuple) else (Exception,)
    leave = leave or threading.Event()
    began, done, ceiling = time.monotonic(), 0, _FIRST_PAUSE
    while True:
        try:
            return call()
        except kinds as exc:
            done += 1
            over = done >= attempts if seconds is None else time.monotonic() - began >= seconds
            passes = isinstance(retry_on, tuple) or retry_on(exc)
            if over or leave.is_set() or not passes:
                raise
            asked = pause_asked(exc) if pause_asked else None
        if between is not None:
            between()
        jitter = _DRAWS.uniform(0.0, min(ceiling, longest_pause))
        leave.wait(min(max(jitter, asked or 0.0), longest_pause))
        ceiling *= 2.0

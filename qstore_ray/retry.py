"""Trying again, within bounds.

A retry is only honest for a call that can be repeated without a second effect (reading a file from
an object store, asking a server for a page), and only for errors that may pass by themselves. The
waiting is tenacity's; what is decided here is that it is bounded and that the last error is raised
as it was.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    retry_if_exception_type,
    sleep,
    sleep_using_event,
    stop_after_attempt,
    stop_after_delay,
    stop_any,
    stop_when_event_set,
    wait_random_exponential,
)

if TYPE_CHECKING:
    from tenacity.stop import stop_base

T = TypeVar("T")


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
    jitter = wait_random_exponential(multiplier=0.1, max=longest_pause)

    def pause(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = pause_asked(error) if pause_asked and error else None
        return min(max(jitter(state), asked or 0.0), longest_pause)

    stop: stop_base = stop_after_attempt(attempts) if seconds is None else stop_after_delay(seconds)
    retrying = Retrying(
        stop=stop_any(stop, stop_when_event_set(leave)) if leave else stop,
        sleep=sleep_using_event(leave) if leave else sleep,
        wait=pause,
        retry=retry_if_exception_type(retry_on)
        if isinstance(retry_on, tuple)
        else retry_if_exception(retry_on),
        before_sleep=None if between is None else lambda _: between(),
        reraise=True,
    )
    return retrying(call)

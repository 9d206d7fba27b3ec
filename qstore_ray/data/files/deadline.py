"""A deadline for calls that talk to a server.

The timeouts of HTTP libraries bound the wait for the next byte, so a server that sends a byte now
and then can block a program forever. A deadline bounds the whole call: it runs in a daemon thread,
which is abandoned when the time is up and does not keep the process alive.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from qstore_ray.errors import DataError

T = TypeVar("T")
CALL = "call: "
"""How the names of the threads begin; what the call does follows."""


def within(seconds: float, call: Callable[[], T], *, what: str, field: str) -> T:
    """What `call` returns, if it does so in time; `what` names it, `field` sets the seconds.

    The call may continue after its deadline, so it must not change shared state.

    Raises:
        DataError: the time is up.
        BaseException: any exception that `call` raises, unchanged.
    """
    outcome: Future[T] = Future()

    def run() -> None:
        try:
            outcome.set_result(call())
        except BaseException as exc:  # noqa: BLE001 - any exception is passed to the caller
            outcome.set_exception(exc)

    threading.Thread(target=run, name=f"{CALL}{what}", daemon=True).start()
    try:
        return outcome.result(timeout=seconds)
    except TimeoutError as exc:
        if outcome.done():  # the call's own error, raised in time
            raise
        raise DataError(
            f"{what} took longer than {seconds:g} s",
            field=field,
            value=seconds,
            fix="Check the network and the server, or allow more seconds.",
        ) from exc

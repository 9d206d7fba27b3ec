"""Calls with a time limit, for what may hang: a disk that is gone, a server that does not answer.
And waits without one, which say what they wait for.

The timeouts of HTTP libraries bound the wait for the next byte, so a server that sends a byte now
and then can block a program forever. A deadline bounds the whole call. Python cannot end a thread:
the call runs in a daemon thread, which is left behind when its time is up, and which does not keep
the process alive.

A training, the queue of a device, and a task that waits for a free CPU take as long as they take: a
limit would end healthy runs. `wait_patiently` waits for these, and logs a warning from time to
time, so that nobody looks at a silent program. What has died ends such a wait: Ray reports a dead
process or machine as the error of its task.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

from qstore_ray.errors import DataError, TransientError

T = TypeVar("T")
_log = logging.getLogger(__name__)
CALL = "call: "
"""How the names of the threads of `within` begin; what the call does follows."""
FIRST_WARNING: Final = 60.0
"""Seconds until `wait_patiently` logs its first warning; each next one takes twice as long."""


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


def wait_patiently(
    ends_within: Callable[[float], bool], what: str, *, first_warning: float = FIRST_WARNING
) -> None:
    """Wait without a limit, and log a warning that names what is waited for.

    Args:
        ends_within: waits for at most so many seconds; whether the wait is over. What it raises
            ends the wait.
        what: for the warning, as in "the answer of client a".
        first_warning: seconds until the first warning; it is repeated after 2, 4, 8 … times that.
    """
    began, warned = time.monotonic(), first_warning
    while not ends_within(max(0.0, began + warned - time.monotonic())):
        if time.monotonic() >= began + warned:
            _log.warning("still waiting for %s, for %s", what, _duration(warned))
            warned *= 2.0


def join_patiently(thread: threading.Thread, what: str) -> None:
    """Wait until a thread has ended, see `wait_patiently`."""

    def ends_within(seconds: float) -> bool:
        thread.join(seconds)
        return not thread.is_alive()

    wait_patiently(ends_within, what)


def ray_result(found: Any, what: str, *, first_warning: float = FIRST_WARNING) -> Any:
    """The value of a Ray object, or the values of a list of them, see `wait_patiently`.

    Raises:
        RayError: as `ray.get`: a task raised an error, or its process or machine died.
    """
    import ray
    from ray.exceptions import GetTimeoutError, RayTaskError

    values: list[Any] = []

    def ends_within(seconds: float) -> bool:
        # Not `ray.wait`, which waits for all; `get` raises the first error while others run.
        try:
            values.append(ray.get(found, timeout=seconds))
        except GetTimeoutError as exc:
            if isinstance(exc, RayTaskError):  # the task itself asked for something in vain
                raise
            return False
        return True

    wait_patiently(ends_within, what, first_warning=first_warning)
    return values[0]


def _duration(seconds: float) -> str:
    """A number of seconds as people say it."""
    for size, unit in ((3600.0, "h"), (60.0, "min")):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"

"""Ctrl-C, SIGTERM and a terminal that was closed: the first asks for a stop, the next one insists.

    stop_on_signal      of a run or a search: stop at a checkpoint
    leave_on_signal     of a command: leave, with an exit code, wherever it stands
    outlast_signal      of a command whose work is done: take the last steps all the same

Process managers and closing terminals send a signal to a whole process group, and some send it
twice at the same instant. So of SIGTERM only one that comes later insists, and SIGHUP never does:
what was started under `nohup` does not hear it at all.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final, Literal, NamedTuple, TypeAlias
from weakref import WeakKeyDictionary

_Meaning: TypeAlias = Literal["ask", "insist", "nothing"]
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SAME_INSTANT = 1.0
"""Seconds within which a second SIGTERM is the same one."""
_LONG = 2.0
"""Seconds after which it is said what a stop waits for."""

ON_REQUEST: Final = "stopped on request"

_stops: list[threading.Event] = []
"""Of the runs and searches of this process."""
_reasons: WeakKeyDictionary[threading.Event, str] = WeakKeyDictionary()
"""Why they were stopped, if it was by `stop_all`."""


class _Meanings:
    """What a signal means after those before it."""

    def __init__(self) -> None:
        self._asked: float | None = None

    def __call__(self, number: int) -> _Meaning:
        now = time.monotonic()
        if self._asked is None:
            self._asked = now
            return "ask"
        late = number == signal.SIGTERM and now - self._asked > _SAME_INSTANT
        return "insist" if number == signal.SIGINT or late else "nothing"


@contextmanager
def stop_on_signal(stop: threading.Event) -> Iterator[None]:
    """Set `stop` on the first signal, raise KeyboardInterrupt on one that insists.

    Runs in the driver process. Python delivers signals to the main thread only, so in any other
    thread (a notebook's, a tuning trial's) no handler is changed, and only `stop_all` sets it.
    """
    _stops.append(stop)
    try:
        with _handlers(stop):
            yield
    finally:
        _stops.remove(stop)


@contextmanager
def _handlers(stop: threading.Event) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    meaning, left = _Meanings(), threading.Event()
    # Before a signal comes: a handler that starts a thread can meet the lock of another start.
    threading.Thread(target=_say_what_it_waits_for, args=(stop, left), daemon=True).start()

    def handle(number: int, _frame: FrameType | None) -> None:
        means = meaning(number)
        if means == "ask":
            stop.set()
        elif means == "insist":
            raise KeyboardInterrupt

    before = {number: signal.signal(number, handle) for number in _heard()}
    try:
        yield
    finally:
        left.set()
        for number, handler in before.items():
            signal.signal(number, handler)


def _say_what_it_waits_for(stop: threading.Event, left: threading.Event) -> None:
    """Say it some seconds after `stop`, unless the block was left by then."""
    while not stop.is_set():
        if left.wait(_LONG / 4):
            return
    if not left.wait(_LONG):
        from qstore_ray.track.logs.logging import announce  # a light command imports this module

        announce(
            "note",
            "stops when the step under way is done. Ctrl-C again leaves it; only what was done "
            "since the last checkpoint is lost",
        )


def stop_all(reason: str = ON_REQUEST) -> None:
    """Ask all runs and searches of this process for a stop, as the first signal does.

    Args:
        reason: what `reason_of` returns for those that were not asked before.
    """
    for stop in tuple(_stops):
        if not stop.is_set():
            _reasons[stop] = reason
        stop.set()


def reason_of(stop: threading.Event) -> str:
    """Why a run or a search was stopped, such as "stopped on request"."""
    return _reasons.get(stop, ON_REQUEST)


class _Leaving(NamedTuple):
    """How the command of this process is left: its exit code, and who says so."""

    code: int
    say: Callable[[], object]


_leaving: _Leaving | None = None


def leave_on_signal(code: int, say: Callable[[], object]) -> None:
    """From now on a signal ends this process: by KeyboardInterrupt, so that all is cleaned up, or
    at once with exit code `code` during an import.

    An interrupted import would leave modules half loaded, and a repeated signal must not wait for
    its end.

    Args:
        say: says so before the process ends at once.
    """
    global _leaving
    _leaving, meaning = _Leaving(code, say), _Meanings()

    def handle(number: int, frame: FrameType | None) -> None:
        means = meaning(number)
        if means == "insist" or (means == "ask" and _imports(frame) and not _ray_is_up()):
            say()
            os._exit(code)
        if means == "ask":
            raise KeyboardInterrupt

    for number in _heard():
        signal.signal(number, handle)


def outlast_signal() -> None:
    """From now on the first signal changes nothing: the work of this process's command is done, and
    is recorded. Files, trackers and what a gateway has open are left, which takes a moment.

    A signal that insists ends the process as before. Does nothing without `leave_on_signal`, as in
    a user's program, or outside of the main thread.
    """
    leaving = _leaving
    if leaving is None or threading.current_thread() is not threading.main_thread():
        return
    meaning = _Meanings()

    def handle(number: int, _frame: FrameType | None) -> None:
        if meaning(number) == "insist":
            leaving.say()
            os._exit(leaving.code)

    for number in _heard():
        signal.signal(number, handle)


def end_on_signal(code: int, *, asked: bool) -> None:
    """From now on Ctrl-C ends this process at once with `code`: its work is done.

    Args:
        asked: the process ends because of a signal; a repeated one must not change its exit code.
            It could even after Python has removed its handlers, so the system ignores it.
    """
    for number in _heard():
        echo = asked and number != signal.SIGINT
        signal.signal(number, signal.SIG_IGN if echo else lambda *_: os._exit(code))


def _heard() -> list[signal.Signals]:
    """The signals to act on: not SIGHUP if it is ignored, as under `nohup`."""
    ignored = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    return [number for number in _SIGNALS if not (ignored and number == signal.SIGHUP)]


def _imports(frame: FrameType | None) -> bool:
    """Whether a module is being imported there."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _ray_is_up() -> bool:
    """Whether Ray's processes have to be ended, too."""
    ray = sys.modules.get("ray")
    return bool(getattr(ray, "is_initialized", bool)())

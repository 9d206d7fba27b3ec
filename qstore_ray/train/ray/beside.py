"""Calling into Ray from a thread of its own: Ray's calls block, and in the main thread they take
Ctrl-C for themselves.

A Ray can be lost, as when a service manager ends every process of a service, or a head is stopped.
Its calls would then wait, and end this process without a word. So Ray's process on this machine is
looked after, and a call that it cannot answer any more is left alone.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from types import TracebackType
from typing import Generic, TypeVar

from qstore_ray.errors import LostClusterError
from qstore_ray.train.ray.errors import MEMORY_ADVICE
from qstore_ray.train.ray.interrupt import ON_REQUEST, reason_of
from qstore_ray.train.ray.session import set_implicit_start
from qstore_ray.train.ray.side_effects import RayletLink

T = TypeVar("T")
_POLL_SECONDS = 0.1
_GRACE_SECONDS = 1.0


def call_beside(call: Callable[[], T], stop: threading.Event, on_stop: Callable[[], object]) -> T:
    """What `call` returns or raises. Called in the driver process.

    Args:
        stop: when set, by a signal or another thread, `on_stop` is called once.
        on_stop: requests that the work of `call` stops.

    Raises:
        KeyboardInterrupt: a repeated signal, or one that requested a stop before Ray was lost.
        LostClusterError: Ray was lost.
    """
    future: Future[T] = Future()
    # A thread that does not keep the process alive, as those of a pool would.
    threading.Thread(target=_run, args=(call, future), name="qstore_ray-ray", daemon=True).start()
    with _starting_no_other_ray(future), RayletLink() as link:
        _watch(future, link, stop, on_stop)
    return future.result()


def _watch(
    future: Future[T], link: RayletLink, stop: threading.Event, on_stop: Callable[[], object]
) -> None:
    requested = False
    while not future.done():
        wait([future], timeout=_POLL_SECONDS)
        if stop.is_set() and not requested:
            requested = True
            on_stop()
        if not future.done() and link.is_broken():
            # Both may have been sent the same signal.
            if stop.wait(_GRACE_SECONDS) and reason_of(stop) == ON_REQUEST:
                raise KeyboardInterrupt
            raise LostClusterError(
                "the Ray on this machine has ended",
                field="cluster",
                fix="Continue with existing='resume'; a cluster that was joined has to be started "
                f"again. If memory ran out, first {MEMORY_ADVICE}.",
            )


@contextmanager
def _starting_no_other_ray(future: Future[T]) -> Iterator[None]:
    """An abandoned call finds Ray shut down, and Ray would start another one, with a dashboard, for
    any caller. Until the call has ended, an error is raised instead.
    """
    usual = set_implicit_start(False)
    try:
        yield
    finally:
        future.add_done_callback(lambda _: set_implicit_start(usual))


def _run(call: Callable[[], T], future: Future[T]) -> None:
    with _Handed(future):
        future.set_result(call())


class _Handed(Generic[T]):
    """Hands what is raised in the block to the thread that waits for the future."""

    def __init__(self, future: Future[T]) -> None:
        self._future = future

    def __enter__(self) -> None:
        """Does nothing: the block begins with the call."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if error is not None:
            self._future.set_exception(error)
        return True

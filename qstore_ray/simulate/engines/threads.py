"""Threads and memory for the compiled engines: work shared out, scratch kept from call to call."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray

CACHE_LINE = 64
_local = threading.local()


def buffer(size: int) -> AnyArray:
    """`size` bytes that begin on a cache line, not set to anything."""
    raw = np.empty(size + CACHE_LINE, np.uint8)
    start = -raw.ctypes.data % CACHE_LINE
    return raw[start : start + size]


def scratch(size: int) -> AnyArray:
    """At least `size` bytes that belong to this thread, and stay allocated for its next call."""
    found: AnyArray | None = getattr(_local, "scratch", None)
    if found is None or len(found) < size:
        found = _local.scratch = buffer(size)
    return found


def side_by_side(run: Callable[[int], None], shares: Sequence[Sequence[int]]) -> None:
    """Call `run(item)` for all items, those of a share one after the other in a thread of its own.

    If a call fails, or Ctrl-C interrupts the wait, no further item is begun. After Ctrl-C the calls
    under way continue behind the caller's back; they cannot be stopped.
    """
    if len(shares) == 1:
        for item in shares[0]:
            run(item)
        return
    given_up = threading.Event()
    futures = [_pool(len(shares)).submit(_until, given_up, run, share) for share in shares]
    try:
        for future in futures:
            future.result()
    finally:
        given_up.set()


def _until(given_up: threading.Event, run: Callable[[int], None], share: Sequence[int]) -> None:
    for item in share:
        if given_up.is_set():
            return
        try:
            run(item)
        except BaseException:
            given_up.set()
            raise


def _forget_threads() -> None:
    """In a process that was forked off: the threads of its parent's pools are not there."""
    _pool.cache_clear()
    _local.__dict__.clear()


@lru_cache(maxsize=4)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="qstore_ray-simulate")


os.register_at_fork(after_in_child=_forget_threads)

"""Threads and memory for the compiled engines: tiles shared out, scratch kept from call to call."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import pairwise
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


def over_tiles(
    run: Callable[[int, int], None], tiles: int, threads: int, together: int = 1
) -> None:
    """Call `run(first, last)` on ranges of tiles, one range a thread.

    Args:
        together: so many tiles, from a multiple of it on, belong to the same thread.
    """
    groups = -(-tiles // together)
    shares = min(threads, groups)
    if shares <= 1:
        run(0, tiles)
        return
    edges = [min(tiles, groups * share // shares * together) for share in range(shares + 1)]
    futures = [_pool(threads).submit(run, a, b) for a, b in pairwise(edges)]
    for future in futures:
        future.result()


def _forget_threads() -> None:
    """In a process that was forked off: the threads of its parent's pools are not there."""
    _pool.cache_clear()
    _local.__dict__.clear()


@lru_cache(maxsize=4)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="qstore_ray-simulate")


os.register_at_fork(after_in_child=_forget_threads)

"""Adding up over workers: the one place that knows how numbers travel between them.

A `Reducer` sums an array over all workers, and every worker gets the same bits. Between Ray Train
workers this is xgboost's collective, whose tracker runs in worker 0: 0.3 ms for a small gradient,
no torch needed, and it survives the restart of a worker group. In one process there is nothing to
add.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np

from qstore_ray.train.loop.collective import SumsTracker, all_reduced, joined

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, FloatArray

TrackerAddress: TypeAlias = dict[str, int | str]
"""How workers reach the tracker that joins them, in the words of xgboost."""


class Reducer(Protocol):
    """Sums arrays over the workers of one run. Used in every worker, by all in the same order."""

    rank: int
    world_size: int

    def all_reduce(self, values: AnyArray) -> AnyArray:
        """Σ over workers of an array of one shape and type; the same bits everywhere. Waits."""
        ...

    def broadcast(self, values: FloatArray) -> FloatArray:
        """Worker 0's array, on every worker."""
        ...

    def begin(self, values: FloatArray) -> Callable[[], FloatArray]:
        """`all_reduce`, whose sum is what the returned function gives: at once, or later.

        No other sum may be asked for before that.
        """
        ...


class LocalReducer:
    """One worker: the sum is the array itself."""

    rank = 0
    world_size = 1

    def all_reduce(self, values: AnyArray) -> AnyArray:
        """The array as it is."""
        return values

    def broadcast(self, values: FloatArray) -> FloatArray:
        """The array as it is."""
        return values

    def begin(self, values: FloatArray) -> Callable[[], FloatArray]:
        """The array as it is."""
        return lambda: values


class CollectiveReducer:
    """Workers joined by `xgboost.collective`; used inside `collective`.

    Args:
        rank, world_size: this worker's number and how many there are, as Ray Train counts them.
    """

    def __init__(self, rank: int, world_size: int) -> None:
        self.rank = rank
        self.world_size = world_size

    def all_reduce(self, values: AnyArray) -> AnyArray:
        """The sum, by one collective call."""
        return all_reduced(values)

    def broadcast(self, values: FloatArray) -> FloatArray:
        """Worker 0's values: everybody else adds zeros, which changes no bit."""
        return self.all_reduce(values if self.rank == 0 else np.zeros_like(values))

    def begin(self, values: FloatArray) -> Callable[[], FloatArray]:
        """The sum, for which this call waits; see `ThreadedReducer`."""
        summed = self.all_reduce(values)
        return lambda: summed


class ThreadedReducer:
    """Another reducer, all calls of which are made in one thread of their own.

    xgboost knows a process by the thread that joined the others, so that thread makes the sums.
    """

    def __init__(self, reducer: Reducer, thread: ThreadPoolExecutor) -> None:
        self.rank, self.world_size = reducer.rank, reducer.world_size
        self._reducer, self._thread = reducer, thread

    def begin(self, values: FloatArray) -> Callable[[], FloatArray]:
        """The sum, made while this worker computes."""
        return self._thread.submit(self._reducer.all_reduce, values).result

    def all_reduce(self, values: AnyArray) -> AnyArray:
        """The sum."""
        return self._thread.submit(self._reducer.all_reduce, values).result()

    def broadcast(self, values: FloatArray) -> FloatArray:
        """Worker 0's values."""
        return self._thread.submit(self._reducer.broadcast, values).result()


@contextmanager
def entered(
    reducer: Reducer, joins: AbstractContextManager[object], *, overlaps: bool
) -> Iterator[Reducer]:
    """A reducer that works inside `joins`, for the time of the block.

    Args:
        overlaps: whether sums are made in a thread of their own, while a worker computes.
    """
    if not overlaps:
        with joins:
            yield reducer
        return
    with ThreadPoolExecutor(1, thread_name_prefix="qstore_ray-sums") as thread:
        thread.submit(joins.__enter__).result()
        try:
            yield ThreadedReducer(reducer, thread)
        finally:
            thread.submit(joins.__exit__, None, None, None).result()


def start_tracker(num_workers: int, host: str) -> TrackerAddress:
    """Start what joins so many workers, in threads of this process; where they meet.

    Args:
        host: an address of this machine that all of them reach.
    """
    tracker = SumsTracker(num_workers, host)
    threading.Thread(target=tracker.wait, name="qstore_ray-tracker", daemon=True).start()
    return {"n_workers": num_workers, **tracker.address()}


def collective(address: TrackerAddress, rank: int) -> AbstractContextManager[object]:
    """Joins this worker to the others, for the time of the block. Waits for all of them."""
    # The tracker gives ranks in the order of these names.
    return joined(**address, dmlc_task_id=f"{rank:08}")

"""A deadline for workers that hang: a worker without progress writes its stacks and ends.

A hung worker (a dead network disk, a frozen neighbour, a deadlock) raises nothing, and all others
wait for its numbers, so the run would block forever. Here every worker gives itself a
deadline that is extended after every all-reduce, of which each step has several.
Past it, a thread of `faulthandler`, which needs no interpreter and so works in any state of the
worker, writes the stacks of all threads into the run folder and ends the process. To Ray this is
a worker that died: counted, and started again from the last checkpoint. (A process that is stopped
as a whole cannot end itself; it no longer answers Ray either, which has the same deadline.)
"""

from __future__ import annotations

import faulthandler
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from qstore_ray.train.loop.reducer import Reducer

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, FloatArray

_STACKS = "stuck-worker-*.txt"
_SHARE = 0.01  # of the deadline: putting it off takes 0.1 ms, so not at every sum


class WatchdogTimer(Protocol):
    """A timer that each sign of progress starts again."""

    def put_off(self) -> None:
        """Report progress: restart the timer."""
        ...


class WatchedReducer:
    """Another reducer; whenever it has added up, the deadline is put off. One a worker."""

    def __init__(self, reducer: Reducer, deadline: WatchdogTimer) -> None:
        self.rank, self.world_size = reducer.rank, reducer.world_size
        self._reducer = reducer
        self._deadline = deadline

    def all_reduce(self, values: AnyArray) -> AnyArray:
        """The sum."""
        total = self._reducer.all_reduce(values)
        self._deadline.put_off()
        return total

    def broadcast(self, values: FloatArray) -> FloatArray:
        """Worker 0's values."""
        found = self._reducer.broadcast(values)
        self._deadline.put_off()
        return found

    def begin(self, values: FloatArray) -> Callable[[], FloatArray]:
        """The sum, maybe later."""
        under_way = self._reducer.begin(values)

        def finish() -> FloatArray:
            summed = under_way()
            self._deadline.put_off()
            return summed

        return finish


@contextmanager
def watched(reducer: Reducer, run_dir: Path, seconds: float) -> Iterator[Reducer]:
    """`reducer` under a deadline for the time of the block; runs in a worker process.

    Args:
        run_dir: where `stuck-worker-<rank>.txt` is written to, should it come to that.
        seconds: without a sum, after which the process ends; 0 for no deadline.
    """
    if not seconds:
        yield reducer
        return
    deadline = _StackDump(run_dir / _STACKS.replace("*", str(reducer.rank)), seconds)
    try:
        yield WatchedReducer(reducer, deadline)
    finally:
        deadline.lift()


def stack_dumps(run_dir: Path, before: Mapping[int, int] | None = None) -> dict[int, Path]:
    """Files that hung workers of this run wrote, by rank; empty files are deleted.

    Args:
        before: sizes of the files of earlier attempts (`dump_sizes`); files that did not grow since
            are left out.
    """
    for path in run_dir.glob(_STACKS):
        if not path.stat().st_size:
            path.unlink(missing_ok=True)
    return {
        rank: run_dir / _STACKS.replace("*", str(rank))
        for rank, size in sorted(dump_sizes(run_dir).items())
        if size > (before or {}).get(rank, 0)
    }


def dump_sizes(run_dir: Path) -> dict[int, int]:
    """Bytes that each worker of this run has written as it hung, by its rank; maybe none yet."""
    first, last = _STACKS.split("*")
    return {
        int(path.name.removeprefix(first).removesuffix(last)): path.stat().st_size
        for path in run_dir.glob(_STACKS)
    }


class _StackDump:
    """The deadline of this process: past it, all stacks are written to `path` and it ends."""

    def __init__(self, path: Path, seconds: float) -> None:
        self._file = path.open("a", encoding="utf-8")  # faulthandler keeps its number
        self._seconds = seconds
        self._set()

    def put_off(self) -> None:
        """Restart the timer."""
        if time.monotonic() - self._began >= _SHARE * self._seconds:
            self._set()

    def lift(self) -> None:
        """No deadline any more."""
        faulthandler.cancel_dump_traceback_later()
        self._file.close()

    def _set(self) -> None:
        self._began = time.monotonic()
        faulthandler.dump_traceback_later(self._seconds, exit=True, file=self._file)

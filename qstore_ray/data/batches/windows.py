"""The order of rows that are streamed: blocks by the seed, then rows within a window of blocks.

An epoch is a sequence of windows. The blocks of the read plan are put in an order of their own, the
window is the next blocks that together have at least `window_rows` rows, and its rows are shuffled.
Blocks, windows and the rows in them follow from (seed, epoch) alone, and from how many rows each
block has; so any window can be read by any process, and a resumed epoch reads only the windows that
are left. A window is what is held at a time.

Batches are cut from the whole sequence, across the windows. Of each batch a worker needs the blocks
of 16 rows that it computes (its lane): `lanes` says which, as a function of the place of a row in
the epoch. So the rows of an epoch, their order and their batches are the same for any number of
workers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

from qstore_ray.data.batches.order import shuffled

if TYPE_CHECKING:
    from qstore_ray.data.read.plan import SplitTask
    from qstore_ray.types import AnyArray, FloatArray, IntArray

Columns: TypeAlias = "Mapping[str, AnyArray]"
_BLOCKS, _WINDOW = 0x57B1, 0x57B2  # keep the uses of one seed apart
_MOST_ROWS, _MOST_BYTES = 2**17, 2**26


class Window(NamedTuple):
    """Some blocks that are read and shuffled together.

    Attributes:
        epoch: of which it is. number: its place in the epoch. blocks: their numbers, in order.
        start: place in the epoch of its first row. n_rows: its rows.
    """

    epoch: int
    number: int
    blocks: tuple[int, ...]
    start: int
    n_rows: int

    @property
    def end(self) -> int:
        """Place in the epoch behind its last row."""
        return self.start + self.n_rows


def rows_of_a_window(n_features: int) -> int:
    """How many rows are read together: 64 MiB of prepared features, and at most 131,072."""
    return max(1, min(_MOST_ROWS, _MOST_BYTES // (8 * max(1, n_features))))


@dataclass(frozen=True, eq=False)  # arrays have no truth value
class RowStream:
    """The rows of a split, read window by window.

    Args:
        tasks: the blocks, those of a read plan.
        window_rows: a window has as many rows at least, but for the last one.
        seed: decides the order; None leaves the rows in theirs.
        weight: of the rows (N,), in the order of the plan; None for 1 each.
    """

    tasks: tuple[SplitTask, ...]
    window_rows: int
    seed: int | None = None
    weight: FloatArray | None = None

    @property
    def n_rows(self) -> int:
        """N, the rows of an epoch."""
        return sum(task.n_rows for task in self.tasks)

    def windows(self, epoch: int, place: int = 0) -> list[Window]:
        """The windows of an epoch in order, from that which has the row at `place` on."""
        order = np.arange(len(self.tasks))
        if self.seed is not None:
            order = shuffled(len(self.tasks), self.seed, _BLOCKS, epoch)
        found: list[Window] = []
        blocks: list[int] = []
        start = n_rows = 0
        for read, block in enumerate(order.tolist(), start=1):
            blocks.append(block)
            n_rows += self.tasks[block].n_rows
            if n_rows >= self.window_rows or read == len(order):
                found.append(Window(epoch, len(found), tuple(blocks), start, n_rows))
                blocks, start, n_rows = [], start + n_rows, 0
        return [window for window in found if window.end > place]

    def read(self, window: Window) -> Columns:
        """The rows of a window in their order: x (B, F), y (B, …), row (B,), weight (B,) if any.

        Raises:
            DataError: a block is not what it was when the dataset was loaded.
        """
        read = [self._block(block) for block in window.blocks]
        joined = {name: np.concatenate([block[name] for block in read]) for name in read[0]}
        if self.seed is None:
            return joined
        order = shuffled(window.n_rows, self.seed, _WINDOW, window.epoch, window.number)
        return {name: column[order] for name, column in joined.items()}

    def _block(self, block: int) -> dict[str, AnyArray]:
        task = self.tasks[block]
        columns = {name: values for name, values in task().items() if name != "weight"}
        if self.weight is not None:
            first = sum(earlier.n_rows for earlier in self.tasks[:block])
            columns["weight"] = self.weight[first : first + task.n_rows]
        return columns


def shares(n_rows: int, block: int, workers: int) -> IntArray:
    """How many of `n_rows` rows each worker computes (workers,), in whole blocks of `block` rows.

    They are what `TrainingObjective` gives the workers: worker w has the blocks from
    n · w // workers up to n · (w + 1) // workers.
    """
    n_blocks = -(-n_rows // block)
    edges = np.minimum(n_blocks * np.arange(workers + 1) // workers * block, n_rows)
    return np.diff(edges)


def lanes(
    start: int, end: int, *, n_rows: int, batch_size: int, block: int, workers: int
) -> IntArray:
    """The worker (end − start,) that needs each row of an epoch, by its place from `start` on.

    Args:
        n_rows: of the epoch. batch_size: rows that the workers divide among themselves.
    """
    places = np.arange(start, end)
    whole = n_rows - n_rows % batch_size
    of_batch = np.repeat(np.arange(workers), shares(batch_size, block, workers))
    of_last = np.repeat(np.arange(workers), shares(n_rows - whole, block, workers))
    head, tail = places[places < whole], places[places >= whole]
    return np.concatenate([of_batch[head % batch_size], of_last[tail - whole]])

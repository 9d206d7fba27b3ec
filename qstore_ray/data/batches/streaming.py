"""Batches of rows that are read block by block, for a split that does not fit into memory.

Blocks are read one after another into a buffer of fixed size; whenever it is full, its rows are
shuffled and handed out. So no more than the buffer and one block are held. The blocks of a read
plan come in another order every epoch; how far a row can move otherwise is up to the buffer.

Both orders are functions of (seed, epoch). A plan knows how many rows each block has, so that a
resume reads only the blocks that are still needed; from a `ray.data.Dataset`, rows that were handed
out before have to be read again and are dropped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

import numpy as np

from qstore_ray.data.batches.order import check_batches, check_position, shuffled
from qstore_ray.data.read.plan import ReadPlan
from qstore_ray.errors import ConfigError, DataError, UsageError

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, FloatArray, IntArray

Columns: TypeAlias = "Mapping[str, AnyArray]"
_BLOCKS, _WINDOW = 0x5B10, 0x5B1F  # keep the uses of one seed apart


class RowBatch(NamedTuple):
    """Rows of one step: `x` (B, F), `y` (B,), and their numbers `row` (B,) in the source."""

    epoch: int
    step: int
    x: FloatArray
    y: AnyArray
    row: IntArray


class RayRows(Protocol):
    """What is used of a `ray.data.Dataset`, such as `Dataset.to_ray` gives."""

    @property
    def context(self) -> Any:
        """Ray's settings for this dataset."""

    def iter_batches(self, *, batch_size: int | None, batch_format: str) -> Iterable[Columns]:
        """The blocks as dictionaries of arrays."""


@dataclass(frozen=True, kw_only=True)
class StreamingBatches:
    """Every row exactly once an epoch, shuffled within a buffer.

    Args:
        source: a read plan (`dataset.plan("train")`), or a `ray.data.Dataset` with columns x, y,
            row that keeps the order of its blocks.
        batch_size: B.
        seed: decides the order of a plan's blocks and of the rows in the buffer.
        buffer_rows: rows of the buffer; 1 leaves the rows of a block in order.
        drop_last: leave a short last batch out.

    Raises:
        ConfigError: a wrong size.
        UsageError: a `ray.data.Dataset` whose blocks come in any order.
    """

    source: ReadPlan | RayRows
    batch_size: int
    seed: int = 0
    buffer_rows: int = 10_000
    drop_last: bool = False

    def __post_init__(self) -> None:
        known = self.source.n_rows if isinstance(self.source, ReadPlan) else None
        n_rows = self.batch_size if known is None else known
        check_batches(self.batch_size, self.seed, n_rows, drop_last=self.drop_last)
        if self.buffer_rows < 1:
            raise ConfigError(
                "the buffer has one row or more",
                field="buffer_rows",
                value=self.buffer_rows,
                fix="Take as many as fit into memory, or 1 for rows as they come.",
            )
        if isinstance(self.source, ReadPlan):
            return
        if not self.source.context.execution_options.preserve_order:
            raise UsageError(
                "Ray hands out the blocks of this dataset in any order, which no seed can repeat",
                field="source",
                fix="Set rows.context.execution_options.preserve_order = True first.",
            )

    def iterate(self, epoch: int = 0, step: int = 0) -> Iterator[RowBatch]:
        """The batches from (epoch, step) to the end of that epoch.

        Raises:
            ConfigError: the epoch has no such step.
            DataError: a block is not what it was when the dataset was loaded.
        """
        known = self.source.n_rows if isinstance(self.source, ReadPlan) else None
        check_position(epoch, step, None if known is None else -(-known // self.batch_size))
        # Buffers before this one were handed out to the last row.
        first = step * self.batch_size // self.buffer_rows
        taken = first * self.buffer_rows
        windows = _cut(self._blocks(epoch, step, taken), self.buffer_rows)
        rows = (self._shuffle(w, epoch, number) for number, w in enumerate(windows, start=first))
        pending = _drop(rows, step * self.batch_size - taken)
        for position, batch in enumerate(_cut(pending, self.batch_size), start=step):
            if len(batch["row"]) == self.batch_size or not self.drop_last:
                yield RowBatch(epoch, position, batch["x"], batch["y"], batch["row"])

    def _blocks(self, epoch: int, step: int, taken: int) -> Iterator[Columns]:
        """The blocks of the epoch from row `taken` on."""
        if not isinstance(self.source, ReadPlan):
            blocks = self.source.iter_batches(batch_size=None, batch_format="numpy")
            return _drop(self._checked(blocks, epoch, step), taken)
        tasks = self.source.tasks
        order = shuffled(len(tasks), self.seed, _BLOCKS, epoch).tolist()
        ends = np.cumsum([0, *(tasks[block].n_rows for block in order)])
        first = int(np.searchsorted(ends[1:], taken, side="right"))
        return _drop((tasks[block]() for block in order[first:]), taken - int(ends[first]))

    def _checked(self, blocks: Iterable[Columns], epoch: int, step: int) -> Iterator[Columns]:
        """The blocks, looked at, and at their end whether there was a step `step`."""
        n_rows = 0
        for block in blocks:
            missing = {"x", "y", "row"} - set(block)
            if missing:
                raise DataError("the dataset lacks columns", value=sorted(missing))
            n_rows += len(block["row"])
            yield block
        check_position(epoch, step, -(-n_rows // self.batch_size))

    def _shuffle(self, window: Columns, epoch: int, number: int) -> Columns:
        """The rows of a full buffer in random order."""
        order = shuffled(len(window["row"]), self.seed, _WINDOW, epoch, number)
        return {name: column[order] for name, column in window.items()}


def _drop(blocks: Iterable[Columns], count: int) -> Iterator[Columns]:
    """The blocks without their first `count` rows."""
    for block in blocks:
        here = min(count, len(block["row"]))
        count -= here
        if here < len(block["row"]):
            yield {name: block[name][here:] for name in ("x", "y", "row")}


def _cut(blocks: Iterable[Columns], size: int) -> Iterator[Columns]:
    """The same rows in pieces of `size`, the last one maybe shorter."""
    held: list[Columns] = []
    n_held = 0
    for block in blocks:
        held.append(block)
        n_held += len(block["row"])
        if n_held < size:
            continue
        joined = _join(held)
        whole = n_held - n_held % size
        for start in range(0, whole, size):
            yield {name: column[start : start + size] for name, column in joined.items()}
        held, n_held = [{name: column[whole:] for name, column in joined.items()}], n_held - whole
    if n_held:
        yield _join(held)


def _join(blocks: list[Columns]) -> Columns:
    if len(blocks) == 1:
        return blocks[0]
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}

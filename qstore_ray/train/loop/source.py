"""Where the loop's batches come from: rows that are held, or rows that are streamed.

Both give, for each step of an epoch, the rows of the global batch as a `RowSelection`. Held rows
are a table that every worker has. Of streamed rows a worker has those that it computes (its lane of
`data.batches.windows`), and no more than two windows of them at a time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from qstore_ray.data.batches.batches import BalancedBatches, Batches, StandardBatches
from qstore_ray.data.batches.windows import shares
from qstore_ray.errors import ConfigError
from qstore_ray.learn.step import BLOCK
from qstore_ray.train.config import TrainerConfig
from qstore_ray.train.job import AnyRows, StreamedRows, TrainingRows
from qstore_ray.train.loop.feed import Piece, open_feed, pieces
from qstore_ray.train.loop.objective import RowSelection
from qstore_ray.train.loop.reducer import Reducer
from qstore_ray.train.privacy.steps import PrivateTraining

if TYPE_CHECKING:
    from qstore_ray.data.batches.windows import Columns
    from qstore_ray.types import AnyArray, FloatArray, IntArray


def batches_of(config: TrainerConfig, y: AnyArray) -> Batches:
    """Which held rows come together in each step of each epoch."""
    size = config.batch_size * config.accumulate
    if config.batches == "balanced":
        return BalancedBatches(labels=y, batch_size=size, seed=config.seed)
    return StandardBatches(n_rows=len(y), batch_size=size, seed=config.seed)


class BatchSource(Protocol):
    """The rows of each step. Used in every worker, by all in the same order."""

    steps_per_epoch: int

    def rows_of_epoch(self, epoch: int) -> int:
        """How many rows the steps of an epoch have together."""
        ...

    def steps(self, epoch: int, first: int) -> Iterator[RowSelection]:
        """The batches of an epoch, from the step `first` on."""
        ...

    def validation(self) -> Iterator[RowSelection]:
        """The rows of val in parts, in their order; asked for after the steps of each epoch."""
        ...


def open_batches(
    config: TrainerConfig,
    rows: AnyRows,
    reducer: Reducer,
    private: PrivateTraining | None = None,
) -> BatchSource:
    """The batches of a training on these rows; a private one may draw them itself."""
    if isinstance(rows, StreamedRows):
        return StreamedBatches(config, rows, reducer)
    return HeldBatches(config, rows, private)


class HeldBatches:
    """Batches of rows that every worker has."""

    def __init__(
        self, config: TrainerConfig, rows: TrainingRows, private: PrivateTraining | None = None
    ) -> None:
        self._rows = rows
        self._private = private
        drawn = None if private is None else private.batches()
        self._batches = batches_of(config, rows.y) if drawn is None else drawn
        self._known: tuple[int, list[IntArray]] = (-1, [])
        self.steps_per_epoch = len(self._batches.of_epoch(0))

    def rows_of_epoch(self, epoch: int) -> int:
        """See `BatchSource`."""
        return sum(map(len, self._of_epoch(epoch)))

    def steps(self, epoch: int, first: int) -> Iterator[RowSelection]:
        """See `BatchSource`."""
        rows, batches = self._rows, self._of_epoch(epoch)
        weight = self._weight(batches)
        for index in batches[first:]:
            yield RowSelection(rows.x, rows.y, index, rows.row, weight)

    def validation(self) -> Iterator[RowSelection]:
        """All rows of val."""
        rows, weight = self._rows, self._rows.weight_val
        yield RowSelection(
            rows.x_val,
            rows.y_val,
            number=rows.row_val,
            weight=None if weight is None else weight / weight.mean(),
            weighs_correct=True,
        )

    def _of_epoch(self, epoch: int) -> list[IntArray]:
        if self._known[0] != epoch:
            found = self._batches.of_epoch(epoch)
            self._known = (
                epoch,
                found if self._private is None else self._private.within(epoch, found),
            )
        return self._known[1]

    def _weight(self, batches: list[IntArray]) -> FloatArray | None:
        """The rows' weights (N,), 1 on the mean over the rows of the epoch; see `learn.weights`."""
        weight = self._rows.weight
        return None if weight is None else weight / weight[np.concatenate(batches)].mean()


@dataclass(frozen=True, eq=False)  # arrays have no truth value
class LaneRows(RowSelection):
    """A batch of `total` rows, of which this worker has those from the place `offset` on.

    With accumulated gradients it is made of `parts`, and each is divided among the workers.
    """

    offset: int = 0
    total: int = 0
    parts: tuple[LaneRows, ...] = ()

    @property
    def count(self) -> int:
        """How many rows all workers have."""
        return self.total

    def part(self, rows: slice) -> tuple[FloatArray, AnyArray, FloatArray | None]:
        """Features, targets and weights of some of this worker's rows."""
        return super().part(self._here(rows))

    def numbers(self, rows: slice) -> AnyArray:
        """What some of this worker's rows are called in errors."""
        assert self.number is not None, "streamed rows have numbers"
        return self.number[self._here(rows)]

    def first(self, count: int | None) -> RowSelection:
        """The first `count` rows, where this worker is the only one; all of them for None.

        Raises:
            ConfigError: several workers stream the rows, so none has all of them.
        """
        if count is None or count >= self.total:
            return self
        if len(self.x) < self.total:
            raise ConfigError(
                "this optimizer asks for the first rows of a batch, which several workers do not "
                "have where rows are streamed",
                field="trainer.num_workers",
                fix="Set trainer.num_workers = 0, or dataset.stream = false.",
            )
        return RowSelection(
            self.x[:count], self.y[:count], None, self._numbers_to(count), self._weight_to(count)
        )

    def split(self, size: int) -> list[RowSelection]:
        """The parts that gradients are accumulated over."""
        return list(self.parts) or [self]

    def _here(self, rows: slice) -> slice:
        return slice(rows.start - self.offset, rows.stop - self.offset)

    def _numbers_to(self, count: int) -> AnyArray | None:
        return None if self.number is None else self.number[:count]

    def _weight_to(self, count: int) -> FloatArray | None:
        return None if self.weight is None else self.weight[:count]


class StreamedBatches:
    """Batches of rows of which every worker reads its own."""

    def __init__(self, config: TrainerConfig, rows: StreamedRows, reducer: Reducer) -> None:
        self._config, self._rows, self._reducer = config, rows, reducer
        self._size = config.batch_size * config.accumulate
        self._micro = rows.micro_batch(config)
        self.steps_per_epoch = -(-rows.n_rows // self._size)
        self._feed: Iterator[tuple[Piece, Columns]] | None = None

    def rows_of_epoch(self, epoch: int) -> int:
        """See `BatchSource`."""
        return self._rows.n_rows

    def steps(self, epoch: int, first: int) -> Iterator[RowSelection]:
        """See `BatchSource`."""
        place, n_rows = first * self._size, self._rows.n_rows
        expected = deque(pieces(self._rows, epoch, place, epoch + 1, validates=False))
        self._open(epoch, place)
        held = _Held()
        for _ in range(first, self.steps_per_epoch):
            end = min(place + self._size, n_rows)
            while expected and expected[0].window.start < end:
                held.add(self._next(expected.popleft()))
            yield self._batch(held, end - place)
            place = end

    def validation(self) -> Iterator[RowSelection]:
        """See `BatchSource`."""
        rows = self._rows
        if rows.val is None:  # worker 0's requests travel with a sum over no rows
            yield LaneRows(rows.first[:0], rows.y[:0], number=rows.row[:0])
            return
        for piece in pieces(rows, 0, rows.n_rows, 1):
            held = _Held()
            held.add(self._next(piece))
            yield replace(self._lane(held, piece.window.n_rows), weighs_correct=True)

    def _open(self, epoch: int, place: int) -> None:
        if self._feed is None:
            reducer = self._reducer
            self._feed = open_feed(
                self._config, self._rows, epoch, place, reducer.rank, reducer.world_size
            )

    def _next(self, expected: Piece) -> Columns:
        assert self._feed is not None, "opened before"
        found, columns = next(self._feed)
        same = found.is_val == expected.is_val and found.window.blocks == expected.window.blocks
        assert same, f"{found} is not the piece {expected}"
        return columns

    def _batch(self, held: _Held, count: int) -> LaneRows:
        """The next `count` rows of the epoch, as far as this worker has them."""
        sizes = [min(self._micro, count - start) for start in range(0, count, self._micro)]
        parts = tuple(self._lane(held, size) for size in sizes)
        if len(parts) == 1:
            return parts[0]
        return replace(parts[0], total=count, parts=parts)

    def _lane(self, held: _Held, count: int) -> LaneRows:
        mine = shares(count, BLOCK, self._reducer.world_size)
        rank = self._reducer.rank
        columns = held.take(int(mine[rank]))
        return LaneRows(
            columns["x"],
            columns["y"],
            number=columns["row"],
            weight=columns.get("weight"),
            offset=int(mine[:rank].sum()),
            total=count,
        )


class _Held:
    """Rows that have been read and not been used."""

    def __init__(self) -> None:
        self._columns: Columns = {}

    def add(self, columns: Columns) -> None:
        """Put rows behind those that are held."""
        known = self._columns
        self._columns = {
            name: np.concatenate([known[name], values]) if known else values
            for name, values in columns.items()
        }

    def take(self, count: int) -> Columns:
        """The first `count` rows, which are not held any more."""
        taken = {name: values[:count] for name, values in self._columns.items()}
        self._columns = {name: values[count:] for name, values in self._columns.items()}
        assert len(taken["row"]) == count, "a window has the rows of its batches"
        return taken

"""Read plans: the rows of one split, as functions that any process can call.

A source's read tasks return raw rows of the whole source. A `SplitTask` wraps one of them: it takes
the rows that belong to the split, numbers their labels, and prepares their features. It carries all
it needs and is picklable, so the same task runs in this process (`ReadPlan.read`) and in a Ray
task. Where train is augmented, the same task adds the copies: a row comes as the original, copy 1,
copy 2, …, so that the order does not depend on how the source is cut.

Each wrapped block is checked against the digest that it had when the dataset was loaded: a file
that changes under a run is an error, not a silent change of the data.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from qstore_ray.data.prepare.prepare import Preparation
from qstore_ray.data.rows.labels import Labels
from qstore_ray.data.rows.raw import Block, RawRows, read_raw, to_block
from qstore_ray.data.sources.base import ArrayTask
from qstore_ray.errors import DataError, numbered

if TYPE_CHECKING:
    from qstore_ray.data.augment.expansion import Expansion
    from qstore_ray.data.sources.base import ReadTask
    from qstore_ray.types import AnyArray, FloatArray, IntArray


class Arrays(NamedTuple):
    """Rows of a split: features `x` float64 (N, F), `y` (N,) class numbers int64 or float64.

    Several labels (int64, 0 or 1) or numbers (float64) a row are `y` (N, T).
    """

    x: FloatArray
    y: AnyArray


@dataclass(frozen=True)
class SplitTask:
    """Reads, selects, numbers and prepares the rows of one split from one block of the source.

    Args:
        source: the source's read task.
        digest: digest of the block as it was when the dataset was loaded.
        take: positions within the block of the rows that belong to the split.
        columns: positions of the chosen features; all of them if None.
        labels: numbers the classes.
        preparation: fitted on train.
        split: name of the split, for error messages.
        expansion: adds changed copies to the rows of train; None adds no copies.
    """

    source: ReadTask
    digest: str
    take: IntArray
    columns: tuple[int, ...] | None
    labels: Labels
    preparation: Preparation
    split: str
    expansion: Expansion | None = None

    @property
    def times(self) -> int:
        """How many rows come out for one of the source."""
        return 1 if self.expansion is None else self.expansion.times

    @property
    def n_rows(self) -> int:
        """N, the rows that come out."""
        return len(self.take) * self.times

    def __call__(self) -> dict[str, AnyArray]:
        """Columns x (N, F'), y (N,) or (N, T), row (N,), and weight (N,) if the rows have weights.

        Copies have the label and the row number of their original, and stand behind it.

        Raises:
            DataError: the block is not what it was when the dataset was loaded.
        """
        block = self.raw()
        y = self.labels.encode(block.y)
        columns = {"y": y, "row": block.row}
        if block.weight is not None:
            columns["weight"] = block.weight
        with numbered(block.row):
            if self.expansion is None:
                return {"x": self.preparation.apply(block.x), **columns}
            x = self.expansion.expand(block.x, block.row, self.preparation)
        copied = {name: np.repeat(column, self.times, axis=0) for name, column in columns.items()}
        return {"x": x, **copied}

    def raw(self) -> Block:
        """The split's rows in this block as the source has them: unprepared, unnumbered, no copies.

        Raises:
            DataError: the block is not what it was when the dataset was loaded.
        """
        return to_block(self.raw_rows(), self.columns)

    def raw_rows(self) -> RawRows:
        """`raw` with all columns, in the source's own type and shape.

        Raises:
            DataError: the block is not what it was when the dataset was loaded.
        """
        raw = read_raw(self.source, several=self.labels.several)
        if raw.digest() != self.digest:
            raise DataError(
                "the source changed since the dataset was loaded",
                field=self.split,
                fix="Load the dataset again; a run that was started on the old data cannot resume.",
            )
        take = _as_slice(self.take)
        weight = None if raw.weight is None else raw.weight[take]
        return RawRows(raw.x[take], raw.y[take], raw.row[take], weight=weight)


@dataclass(frozen=True)
class ReadPlan:
    """The tasks that together read a split.

    Args:
        tasks: all with the same expansion, if any.
        source_rows: numbers of the rows that the split has of the source, ascending.
        held: what `read` gives, where it was read already; a plan that is made from this one for
            other rows, or for rows prepared otherwise, has none.
        weight: sample weights of the rows `source_rows`, above 0; None if the source has none.
        y: labels of the rows `source_rows`, numbered, where the rows are streamed; else None.
    """

    tasks: tuple[SplitTask, ...]
    source_rows: IntArray
    held: Arrays | None = None
    weight: FloatArray | None = None
    y: AnyArray | None = None

    @property
    def times(self) -> int:
        """How many rows of the split one row of the source is: more than 1 where it has copies."""
        return self.tasks[0].times

    @property
    def n_rows(self) -> int:
        """N, the rows of the split, copies included."""
        return len(self.source_rows) * self.times

    @property
    def rows(self) -> IntArray:
        """Row numbers (N,) in the source, in the order of `read`; a copy has its original's."""
        return self.source_rows if self.times == 1 else np.repeat(self.source_rows, self.times)

    @property
    def weights(self) -> FloatArray | None:
        """Sample weights (N,) in the order of `read`; a copy has its original's."""
        return None if self.weight is None else np.repeat(self.weight, self.times)

    @property
    def labels(self) -> AnyArray:
        """Labels (N,) or (N, T) in the order of `read`, which is called if they are not known."""
        return self.read().y if self.y is None else np.repeat(self.y, self.times, axis=0)

    def unaugmented(self) -> ReadPlan:
        """The plan that reads the rows of the source alone, without copies."""
        if self.tasks[0].expansion is None:
            return self
        tasks = tuple(replace(task, expansion=None) for task in self.tasks)
        return replace(self, tasks=tasks, held=None)

    def read(self) -> Arrays:
        """Run the tasks in this process; rows come in the order of their row numbers."""
        if self.held is not None:
            return self.held
        return _filled(
            (Arrays(block["x"], block["y"]) for block in (task() for task in self.tasks)),
            self.n_rows,
        )

    def read_raw(self) -> Arrays:
        """The rows of the source before preparation, without copies.

        x float64 (N, F) may hold what the steps will fill.
        """
        return _filled(
            (
                Arrays(block.x, task.labels.encode(block.y))
                for task, block in ((task, task.raw()) for task in self.tasks)
            ),
            len(self.source_rows),
        )


def hold(plans: Mapping[str, ReadPlan]) -> dict[str, ReadPlan]:
    """The plans with the rows of the source that they read carried by their tasks.

    A block of the source is held once, with the rows of all plans and no others, in their order; so
    plans can still be joined, and nothing that is made from them reads the source again.

    Raises:
        DataError: the source cannot be read any more, or has changed.
    """
    takes: dict[int, list[IntArray]] = {}
    for plan in plans.values():
        for task in plan.tasks:
            takes.setdefault(id(task.source), []).append(task.take)
    blocks: dict[int, tuple[ArrayTask, str, IntArray]] = {}

    def held(task: SplitTask) -> SplitTask:
        key = id(task.source)
        if key not in blocks:
            every = np.unique(np.concatenate(takes[key]))
            raw = replace(task, take=every).raw_rows()
            source = ArrayTask(raw.x, raw.y, raw.row, raw.weight)
            blocks[key] = source, raw.digest(), every
        source, digest, every = blocks[key]
        take = np.searchsorted(every, task.take)
        return replace(task, source=source, digest=digest, take=take)

    return {
        split: replace(plan, tasks=tuple(map(held, plan.tasks))) for split, plan in plans.items()
    }


def _filled(blocks: Iterable[Arrays], n_rows: int) -> Arrays:
    """All rows in one array; a block goes into it as it comes, and is let go."""
    found: Arrays | None = None
    filled = 0
    for block in blocks:
        if found is None:
            shapes = ((n_rows, *part.shape[1:]) for part in block)
            found = Arrays(*map(np.empty, shapes, (part.dtype for part in block)))
        rows = slice(filled, filled + len(block.y))
        found.x[rows], found.y[rows] = block
        filled = rows.stop
    assert found is not None, "a split has rows"
    assert filled == n_rows, "each row is in one task"
    return found


def _as_slice(positions: IntArray) -> IntArray | slice:
    """Ascending positions, as a slice if they are contiguous: indexing then copies nothing."""
    if len(positions) and positions[-1] - positions[0] == len(positions) - 1:
        return slice(int(positions[0]), int(positions[-1]) + 1)
    return positions

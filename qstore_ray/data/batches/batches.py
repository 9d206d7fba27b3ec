"""Batches: which rows come together, as pure functions of (seed, epoch, step).

    for epoch, step, take in batches("standard", n_rows=1000, batch_size=32, seed=7).iterate():
        x[take], y[take]

Every kind is a rule from an epoch to its batches, each an array of positions in the split. There is
no state: to resume after an interruption, `iterate(epoch, step)` starts there and gives, to the
last row, what would have come.

    standard     every row once an epoch, in the order of the training loop
    infinite     the same rows without end, and without a short batch between two epochs
    balanced     the same number of rows of every class in each batch
    curriculum   easy rows first, more of them from epoch to epoch
    streaming    rows, not positions, read block by block (`streaming.py`)
"""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from qstore_ray.data.batches.order import check_batches, check_position, row_order, shuffled
from qstore_ray.data.batches.streaming import StreamingBatches
from qstore_ray.errors import ConfigError, DataError, unknown_name_error

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, FloatArray, IntArray

_BALANCED, _CURRICULUM = 0xBA1A, 0xC0DE  # keep the uses of one seed apart

PACINGS: dict[str, Callable[[float, float], float]] = {
    "linear": lambda start, progress: start + (1.0 - start) * progress,
    "root": lambda start, progress: math.sqrt(start**2 + (1.0 - start**2) * progress),
    "step": lambda start, progress: 1.0 if progress == 1.0 else start,
}
"""Fraction of the rows in use, from the fraction at the start and the progress in [0, 1]."""


class BatchPositions(NamedTuple):
    """The positions `take` (B,) in the split that make step `step` of epoch `epoch`."""

    epoch: int
    step: int
    take: IntArray


@dataclass(frozen=True, kw_only=True)
class Batches(ABC):
    """A rule from an epoch to its batches."""

    endless: ClassVar[bool] = False

    @abstractmethod
    def of_epoch(self, epoch: int) -> list[IntArray]:
        """The batches of `epoch` in order, each the positions (B,) of its rows."""

    def at(self, epoch: int, step: int) -> IntArray:
        """The positions (B,) of one batch.

        Raises:
            ConfigError: the epoch has no such step.
        """
        of_epoch = self.of_epoch(epoch)
        check_position(epoch, step, len(of_epoch) - 1)
        return of_epoch[step]

    def iterate(self, epoch: int = 0, step: int = 0) -> Iterator[BatchPositions]:
        """The batches from (epoch, step) to the end of that epoch; endless kinds never stop.

        Raises:
            ConfigError: the epoch has no such step.
        """
        check_position(epoch, step, None)
        while True:
            of_epoch = self.of_epoch(epoch)
            check_position(epoch, step, len(of_epoch))
            for position in range(step, len(of_epoch)):
                yield BatchPositions(epoch, position, of_epoch[position])
            if not self.endless:
                return
            epoch, step = epoch + 1, 0


@dataclass(frozen=True, kw_only=True)
class StandardBatches(Batches):
    """Every row exactly once an epoch, in `row_order`; the last batch may be short.

    Args:
        n_rows: N, rows of the split.
        batch_size: B.
        seed: decides the order.
        drop_last: leave a short last batch out; its rows then do not appear in that epoch.
    """

    n_rows: int
    batch_size: int
    seed: int = 0
    drop_last: bool = False

    def __post_init__(self) -> None:
        check_batches(self.batch_size, self.seed, self.n_rows, drop_last=self.drop_last)

    def of_epoch(self, epoch: int) -> list[IntArray]:
        """The permutation of the epoch, cut into batches."""
        order = row_order(self.seed, epoch, self.n_rows)
        return _cut(order, self.batch_size, drop_last=self.drop_last)


@dataclass(frozen=True, kw_only=True)
class InfiniteBatches(Batches):
    """The rows of all epochs one after another, every batch full.

    A batch may end in the next epoch; it counts as one of the epoch that its first row is from, so
    that epochs differ by at most one batch.
    """

    endless: ClassVar[bool] = True
    n_rows: int
    batch_size: int
    seed: int = 0

    def __post_init__(self) -> None:
        check_batches(self.batch_size, self.seed, self.n_rows, drop_last=False)

    def of_epoch(self, epoch: int) -> list[IntArray]:
        """The batches whose first row is from `epoch`; may be none where B > N."""
        begin, size = epoch * self.n_rows, self.batch_size
        starts = range(-(-begin // size) * size, begin + self.n_rows, size)
        if not starts:
            return []
        last = -(-(starts[-1] + size) // self.n_rows)
        orders = [row_order(self.seed, number, self.n_rows) for number in range(epoch, last)]
        rows = np.concatenate(orders)
        return [rows[start - begin : start - begin + size] for start in starts]


@dataclass(frozen=True, kw_only=True, eq=False)  # arrays have no truth value
class BalancedBatches(Batches):
    """Every class equally often in each batch, give or take one row where K does not divide B.

    An epoch shows every row of the largest class exactly once. Rows of a rarer class come again and
    again, all of them before any comes once more, each time in another order.

    Args:
        labels: the class of every row (N,).
        batch_size: B, no less than the number of classes.
        seed: decides the orders.
        drop_last: leave a short last batch out.

    Raises:
        ConfigError: more classes than rows of a batch.
    """

    labels: AnyArray
    batch_size: int
    seed: int = 0
    drop_last: bool = False

    def __post_init__(self) -> None:
        counts = np.unique(self.labels, return_counts=True)[1]
        n_rows = len(counts) * max(counts.tolist(), default=0)
        check_batches(self.batch_size, self.seed, n_rows, drop_last=self.drop_last)
        if len(counts) > self.batch_size:
            raise ConfigError(
                f"a balanced batch needs a row of each of the {len(counts)} classes",
                field="batch_size",
                value=self.batch_size,
                fix=f"Take {len(counts)} or more, or the kind standard.",
            )

    def of_epoch(self, epoch: int) -> list[IntArray]:
        """One row of each class in turn, cut into batches."""
        _, numbers, counts = np.unique(self.labels, return_inverse=True, return_counts=True)
        largest = int(counts.max())
        columns = []
        for number, count in enumerate(counts.tolist()):
            members = np.flatnonzero(numbers == number)
            rounds = [
                members[shuffled(count, self.seed, _BALANCED, epoch, number, again)]
                for again in range(-(-largest // count))
            ]
            columns.append(np.concatenate(rounds)[:largest])
        order = np.stack(columns, axis=1).reshape(-1)
        return _cut(order, self.batch_size, drop_last=self.drop_last)


@dataclass(frozen=True, kw_only=True, eq=False)  # arrays have no truth value
class CurriculumBatches(Batches):
    """Epoch e shows the easiest rows only, all of them once: a fraction that grows to 1.

    Bengio, Louradour, Collobert & Weston, "Curriculum learning", ICML 2009. The pacing `root` is
    that of Platanios et al. 2019, arXiv:1903.09848; `step` is two stages.

    Args:
        scores: how hard every row is (N,), low is easy; ties go to the earlier row.
        batch_size: B.
        seed: decides the order within an epoch.
        pacing: name of a function of `PACINGS`.
        start: fraction of the rows in epoch 0.
        full_epoch: the epoch from which on all rows are used.
        drop_last: leave a short last batch out.

    Raises:
        UnknownNameError: no such pacing.
        ConfigError: a fraction outside (0, 1], or a negative epoch.
        DataError: a score that is NaN or infinite.
    """

    scores: FloatArray
    batch_size: int
    seed: int = 0
    pacing: str = "linear"
    start: float = 0.2
    full_epoch: int = 10
    drop_last: bool = False

    def __post_init__(self) -> None:
        if self.pacing not in PACINGS:
            raise unknown_name_error("pacing", self.pacing, PACINGS, field="pacing")
        if not 0.0 < self.start <= 1.0:
            raise ConfigError(
                "the first epoch shows a fraction of the rows",
                field="start",
                value=self.start,
                fix="Take a number above 0, up to 1.",
            )
        if self.full_epoch < 0:
            raise ConfigError(
                "epochs are counted from 0",
                field="full_epoch",
                value=self.full_epoch,
                fix="Take 0 or more.",
            )
        finite = np.isfinite(self.scores)
        if not finite.all():
            position = int(np.argmin(finite))
            raise DataError(
                "a score is NaN or infinite", field="scores", value=f"position {position}"
            )
        check_batches(self.batch_size, self.seed, self.n_used(0), drop_last=self.drop_last)

    def n_used(self, epoch: int) -> int:
        """How many rows `epoch` shows."""
        progress = min(1.0, epoch / self.full_epoch) if self.full_epoch else 1.0
        fraction = PACINGS[self.pacing](self.start, progress)
        return min(len(self.scores), math.ceil(fraction * len(self.scores)))

    def of_epoch(self, epoch: int) -> list[IntArray]:
        """The easiest rows in the epoch's order, cut into batches."""
        easiest = np.argsort(self.scores, kind="stable")[: self.n_used(epoch)]
        order = easiest[shuffled(len(easiest), self.seed, _CURRICULUM, epoch)]
        return _cut(order, self.batch_size, drop_last=self.drop_last)


BATCHES: dict[str, type[Batches | StreamingBatches]] = {
    "balanced": BalancedBatches,
    "curriculum": CurriculumBatches,
    "infinite": InfiniteBatches,
    "standard": StandardBatches,
    "streaming": StreamingBatches,
}


def batches(kind: str, **options: Any) -> Batches | StreamingBatches:
    """The batches called `kind`, with the options of its class.

    Raises:
        UnknownNameError: no such kind.
        ConfigError: an option that the kind does not have, lacks, or a wrong value.

    Examples:
        rows = batches("standard", n_rows=10, batch_size=4)
        assert [len(batch) for batch in rows.of_epoch(0)] == [4, 4, 2]
    """
    if kind not in BATCHES:
        raise unknown_name_error("kind of batches", kind, BATCHES, field="kind")
    fields = {field.name: field for field in dataclasses.fields(BATCHES[kind])}
    for name in options:
        if name not in fields:
            raise unknown_name_error("option", name, fields, field=name)
    for name, field in fields.items():
        if name not in options and field.default is dataclasses.MISSING:
            raise ConfigError(f"the kind {kind!r} needs this option", field=name)
    return BATCHES[kind](**options)


def _cut(order: IntArray, size: int, *, drop_last: bool) -> list[IntArray]:
    """`order` (N,) in pieces of `size`, with or without a short one at the end."""
    end = len(order) - len(order) % size if drop_last else len(order)
    return [order[start : start + size] for start in range(0, end, size)]

"""The loss over rows, computed by all workers together.

Rows are cut into blocks of 16; each worker computes its share of the blocks and leaves zeros for
the rest, one all-reduce gives everyone all blocks, and everyone adds them in the same order. So a
sum has the same bits on every worker and for any number of workers. Three small things travel with
every sum: what worker 0 asks of all (`Control`), what each worker used of its backend, and whether
the backend failed in a worker: all workers raise after that sum.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from qstore_ray.backends.base import Backend, Bindings, can_test
from qstore_ray.backends.device_circuit import together
from qstore_ray.backends.failover import failure_from_numbers, failure_of, failures_as_numbers
from qstore_ray.backends.keys import DrawKey
from qstore_ray.backends.meter import metered
from qstore_ray.errors import QStoreError
from qstore_ray.learn import step as blocks
from qstore_ray.learn.fubini_study import fidelities
from qstore_ray.learn.gradients import draws_its_plan, get_gradient
from qstore_ray.learn.model import QuantumModel
from qstore_ray.train.loop.control import Control
from qstore_ray.train.loop.reducer import Reducer

if TYPE_CHECKING:
    from collections.abc import Callable

    from qstore_ray.types import AnyArray, FloatArray, ReadOnlyTable

_NOTES = 5  # behind every sum: control, circuits, shots, failures of the service, of the budget


@dataclass(frozen=True, eq=False)  # arrays have no truth value
class RowSelection:
    """Rows of a table: all of x (N, F) and y (N, …), or those that `index` (B,) names, in order.

    `number` (N,) is what errors call every row of the table; its place if None. They
    have the weights `weight` (N,) in a loss, or 1 each; with `weighs_correct` in accuracy too.
    """

    x: FloatArray
    y: AnyArray
    index: AnyArray | None = None
    number: AnyArray | None = None
    weight: FloatArray | None = None
    weighs_correct: bool = False

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.x) if self.index is None else len(self.index)

    def part(self, rows: slice) -> tuple[FloatArray, AnyArray, FloatArray | None]:
        """Features, targets and weights of some of them."""
        if self.index is None:
            return self.x[rows], self.y[rows], None if self.weight is None else self.weight[rows]
        take = self.index[rows]
        # `take` is ten times as fast as an index where rows lie side by side, and copies others.
        x = self.x.take(take, axis=0) if self.x.flags.c_contiguous else self.x[take]
        return x, self.y[take], None if self.weight is None else self.weight[take]

    def numbers(self, rows: slice) -> AnyArray:
        """What some of them are called in errors."""
        take = np.arange(self.count) if self.index is None else self.index
        found: AnyArray = take[rows] if self.number is None else self.number[take[rows]]
        return found

    def first(self, count: int | None) -> RowSelection:
        """The first `count` of them; all of them for None."""
        index = np.arange(len(self.x)) if self.index is None else self.index
        return replace(self, index=index[:count])

    def split(self, size: int) -> list[RowSelection]:
        """They, in order, `size` at a time; the last part may be shorter."""
        if self.count <= size:
            return [self]
        index = np.arange(len(self.x)) if self.index is None else self.index
        return [replace(self, index=index[i : i + size]) for i in range(0, len(index), size)]


class TrainingObjective:
    """Sums over rows, by all workers. Used in every worker; all make the same calls in order.

    Attributes:
        control: what this worker asks of all workers; it is sent with the next sum.
        along: more numbers, of which the next sum has the sum over workers, too.
        usage: circuits and shots of all workers (2,), so far.
    """

    def __init__(
        self,
        model: QuantumModel,
        backend: Backend,
        gradient: str,
        reducer: Reducer,
        gradient_options: ReadOnlyTable | None = None,
    ) -> None:
        self.model, self.reducer = model, reducer
        self._training = metered(backend)
        testing = backend.for_testing() if can_test(backend) else None
        self._testing = self._training if testing is None else metered(testing)
        self.backend = self._training
        self.method = get_gradient(gradient, self.backend, gradient_options)
        self.control = self._received = Control()
        self.along = self._received_along = np.zeros(0)
        self.usage = np.zeros(2)
        self._failure: QStoreError | None = None
        self._draws = bool(getattr(backend, "draws", False))
        self._draws_plan = draws_its_plan(self.method)
        self._words: tuple[int, ...] = ()
        self._calls = 0
        self._parts = (0, 1)

    def for_training(self, seed: int, step: int) -> None:
        """The calls that follow are of this training step, and draw what is its own."""
        self.backend, self._words, self._calls = self._training, (seed, 0, step), 0

    def for_testing(self, seed: int, step: int) -> None:
        """The calls that follow score validation rows after this step."""
        self.backend, self._words, self._calls = self._testing, (seed, 1, step), 0

    def _key(self, rows: slice, *, is_drawn: bool = False, later: int = 0) -> DrawKey | None:
        """The key of this call's draws, the same on every worker but for the first row.

        Args:
            is_drawn: whether more than the backend draws.
            later: how many calls after the next one.
        """
        if not (self._draws or is_drawn):
            return None
        part, parts = self._parts
        return DrawKey((*self._words, self._calls + later), rows.start, part=part, parts=parts)

    def take_control(self) -> Control:
        """What workers asked with the sums since the last call; the same on every worker."""
        received, self._received = self._received, Control()
        return received

    def take_along(self) -> FloatArray:
        """Σ over workers of what `along` was at the last sum."""
        received, self._received_along = self._received_along, np.zeros(0)
        return received

    def take_usage(self) -> FloatArray:
        """Circuits and shots of this worker (2,) that no sum has had, and none will have."""
        return np.array(self.backend.take(), float)

    def add_up(self, values: FloatArray) -> FloatArray:
        """Σ over workers of numbers (M,), with what travels with every sum."""
        return self._summed(_Share(None, values, np.append(values, np.zeros(_NOTES)), values.shape))

    def begin(self, values: FloatArray) -> Callable[[], FloatArray]:
        """`add_up` while this worker continues; what is returned waits for the sum.

        No other sum may be asked for before that.
        """
        values = np.append(values, np.zeros(_NOTES))
        failure = self._note(values)
        under_way = self.reducer.begin(values)

        def finish() -> FloatArray:
            summed = under_way()
            self._noted(summed, failure)
            return summed[:-_NOTES]

        return finish

    def gradient(
        self, theta: FloatArray, rows: RowSelection, clip: float | None = None
    ) -> FloatArray:
        """All blocks of `learn.step.value_and_grad`: (blocks, P + 3)."""
        return self._summed(self._gradient_share(theta, rows, clip))

    def own_gradient(self, theta: FloatArray, rows: RowSelection) -> FloatArray:
        """This worker's blocks of `gradient` (maybe none), of which nothing is sent."""
        self._calls += 1
        return self._gradient_share(theta, rows, None).mine

    def _gradient_share(self, theta: FloatArray, rows: RowSelection, clip: float | None) -> _Share:
        share = self._share(rows, self.model.n_parameters + blocks.EXTRA)
        if share.rows is not None:
            x, y, weight = rows.part(share.rows)
            with self._failures_of(rows, share.rows):
                blocks.value_and_grad(
                    self.model, theta, x, y, self.backend, self.method, weight,
                    self._key(share.rows, is_drawn=self._draws_plan), clip=clip, out=share.mine,
                )  # fmt: skip
        return share

    def scores(self, theta: FloatArray, rows: RowSelection) -> FloatArray:
        """All blocks of `learn.step.evaluate`: (blocks, 3)."""
        share = self._share(rows, blocks.EXTRA)
        if share.rows is not None:
            x, y, weight = rows.part(share.rows)
            with self._failures_of(rows, share.rows):
                share.mine[:] = blocks.evaluate(
                    self.model,
                    theta,
                    x,
                    y,
                    self.backend,
                    weight,
                    self._key(share.rows),
                    weighs_correct=rows.weighs_correct,
                )
        return self._summed(share)

    def scores_at(
        self, thetas: FloatArray, rows: RowSelection, overlaps: FidelityPoints | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """`scores` at each of M points (M, blocks, 3), and mean fidelities (F,) over the rows.

        All circuits are asked for at once: on hardware they are one job.
        """
        points, count = len(thetas), 0 if overlaps is None else len(overlaps.others)
        ends = points * blocks.EXTRA
        share = self._share(rows, ends + count)
        if share.rows is not None:
            part, of = rows.part(share.rows), share.rows
            keys = [self._key(of, later=number) for number in range(points + 1)]

            def work() -> FloatArray:
                x, y, weight = part
                found = [
                    blocks.evaluate(self.model, theta, x, y, self.backend, weight, key)
                    for theta, key in zip(thetas, keys, strict=False)
                ]
                if overlaps is not None:
                    here, there = overlaps.bindings(self.model, x)
                    template, drawn = self.model.circuit.template, keys[-1]
                    seen = fidelities(self.backend, template, here, there, drawn)
                    found.append(_by_block(seen))
                return np.concatenate(found, axis=1)

            with self._failures_of(rows, share.rows):
                share.mine[:] = together(self.backend, work)
        self._calls += points - 1 + (overlaps is not None)
        summed = self._summed(share)
        by_point = summed[:, :ends].reshape(len(summed), points, blocks.EXTRA).transpose(1, 0, 2)
        return by_point, summed[:, ends:].sum(axis=0) / rows.count

    def outputs(self, theta: FloatArray, rows: RowSelection) -> FloatArray:
        """All blocks of `learn.step.block_outputs`: (blocks, 16, K), on every worker."""
        share = self._share(rows, blocks.BLOCK * self.model.n_outputs)
        if share.rows is not None:
            x, _, _ = rows.part(share.rows)
            with self._failures_of(rows, share.rows):
                key = self._key(share.rows)
                found = blocks.block_outputs(self.model, theta, x, self.backend, key)
                share.mine[:] = found.reshape(share.mine.shape)
        return self._summed(share).reshape(-1, blocks.BLOCK, self.model.n_outputs)

    def over_rows(
        self, rows: RowSelection, width: int, of_block: Callable[[FloatArray], FloatArray]
    ) -> FloatArray:
        """Σ over rows of `of_block(x)`, which sums over the rows it is given: (width,)."""
        share = self._share(rows, width)
        if share.rows is not None:
            x, _, _ = rows.part(share.rows)
            for block, start in enumerate(range(0, len(x), blocks.BLOCK)):
                with self._failures_of(rows, slice(share.rows.start + start, share.rows.stop)):
                    share.mine[block] = of_block(x[start : start + blocks.BLOCK])
        summed: FloatArray = self._summed(share).sum(axis=0)
        return summed

    def _share(self, rows: RowSelection, width: int) -> _Share:
        """The blocks of `rows` that this worker computes, in an array of zeros for all blocks."""
        n_blocks = -(-rows.count // blocks.BLOCK)
        rank, size = self.reducer.rank, self.reducer.world_size
        first, end = n_blocks * rank // size, n_blocks * (rank + 1) // size
        # With fewer blocks than workers, each worker that has any has one.
        self._parts = (rank, size) if size <= n_blocks else (first, n_blocks)
        mine = slice(first * blocks.BLOCK, end * blocks.BLOCK) if end > first else None
        values = np.zeros(n_blocks * width + _NOTES)
        found = values[:-_NOTES].reshape(n_blocks, width)
        return _Share(mine, found[first:end], values, found.shape)

    @contextmanager
    def _failures_of(self, rows: RowSelection, part: slice) -> Iterator[None]:
        """Say which of the rows an error is about; keep a failure of the backend until the sum.

        With the sum all workers learn of it.
        """
        try:
            yield
        except QStoreError as exc:
            if isinstance(exc.row, int):
                exc.row = int(rows.numbers(part)[exc.row])
            if failure_of(exc) is None:
                raise
            self._failure = exc

    def _summed(self, share: _Share) -> FloatArray:
        """The blocks of all workers (blocks, width).

        Raises:
            QStoreError: the backend failed in one of them.
        """
        self._calls += 1
        failure = self._note(share.values)
        along, self.along = self.along, np.zeros(0)
        values = np.concatenate([along, share.values]) if len(along) else share.values
        summed = self.reducer.all_reduce(values)
        self._received_along, summed = summed[: len(along)], summed[len(along) :]
        self._noted(summed, failure)
        return summed[:-_NOTES].reshape(share.shape)

    def _note(self, values: FloatArray) -> QStoreError | None:
        """Fill the last numbers of what is sent; the failure of this worker among them."""
        values[-_NOTES], self.control = self.control.to_number(), Control()
        failure, self._failure = self._failure, None
        used = self.backend.take()
        values[1 - _NOTES] = used.circuits
        values[2 - _NOTES] = used.shots
        if failure is not None:  # they are zeros
            values[3 - _NOTES :] = failures_as_numbers(failure)
        return failure

    def _noted(self, summed: FloatArray, failure: QStoreError | None) -> None:
        """Keep the last numbers of a sum."""
        if summed[-_NOTES]:
            self._received |= Control.from_number(summed[-_NOTES])
        self.usage = self.usage + summed[1 - _NOTES : 3 - _NOTES]
        if failure is None and summed[3 - _NOTES :].any():
            failure = failure_from_numbers(summed[3 - _NOTES :].tolist())
        if failure is not None:
            raise failure


class _Share(NamedTuple):
    """One worker's part of a sum: its rows (None if it has none) and where their blocks go."""

    rows: slice | None
    mine: FloatArray
    values: FloatArray
    shape: tuple[int, int]


class FidelityPoints(NamedTuple):
    """The states at θ `theta` (P,) with those at others (F, P)."""

    theta: FloatArray
    others: FloatArray

    def bindings(self, model: QuantumModel, x: FloatArray) -> tuple[Bindings, list[Bindings]]:
        """Of the rows x (B, F), at θ and at each other."""
        here = bindings_at(model, self.theta, x)
        return here, [bindings_at(model, other, x) for other in self.others]


def bindings_at(model: QuantumModel, theta: FloatArray, x: FloatArray) -> Bindings:
    """The circuit's slots for features (B, F) at θ."""
    parts = model.split(theta)
    inner, _ = model.inputs(parts, x)
    return model.bindings(parts, inner, model.circuit.angles(inner))


def _by_block(by_row: FloatArray) -> FloatArray:
    """Numbers (F, B) of rows, added over each block of them: (blocks, F)."""
    starts = range(0, by_row.shape[1], blocks.BLOCK)
    return np.array([by_row[:, start : start + blocks.BLOCK].sum(axis=1) for start in starts])

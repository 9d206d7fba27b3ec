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
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from qstore_ray.backends.base import Backend, Bindings, can_test
from qstore_ray.backends.keys import DrawKey
from qstore_ray.backends.meter import metered
from qstore_ray.errors import QStoreError, numbered
from qstore_ray.learn import step as blocks
from qstore_ray.learn.fubini_study import fidelities, layers, metrics
from qstore_ray.learn.gradients import draws_its_plan, get_gradient
from qstore_ray.learn.model import QuantumModel
from qstore_ray.learn.optimizers.base import Slope
from qstore_ray.train.fallback import failure_from_numbers, failure_of, failures_as_numbers
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
        take: Any = rows if self.index is None else self.index[rows]
        return self.x[take], self.y[take], None if self.weight is None else self.weight[take]

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
        control: what worker 0 asks of all workers; it is sent with the next sum.
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
        self.usage = np.zeros(2)
        self._failure: QStoreError | None = None
        self._draws = bool(getattr(backend, "draws", False))
        self._words: tuple[int, ...] = ()
        self._calls = 0
        self._parts = (0, 1)

    def for_training(self, seed: int, step: int) -> None:
        """The calls that follow are of this training step, and draw what is its own."""
        self.backend, self._words, self._calls = self._training, (seed, 0, step), 0

    def for_testing(self, seed: int, step: int) -> None:
        """The calls that follow score validation rows after this step."""
        self.backend, self._words, self._calls = self._testing, (seed, 1, step), 0

    def _key(self, rows: slice, *, is_drawn: bool = False) -> DrawKey | None:
        """The key of this call's draws, the same on every worker but for the first row.

        Args:
            is_drawn: whether more than the backend draws.
        """
        if not (self._draws or is_drawn):
            return None
        part, parts = self._parts
        return DrawKey((*self._words, self._calls), rows.start, part=part, parts=parts)

    def take_control(self) -> Control:
        """What worker 0 asked with the sums since the last call; the same on every worker."""
        received, self._received = self._received, Control()
        return received

    def gradient(self, theta: FloatArray, rows: RowSelection) -> FloatArray:
        """All blocks of `learn.step.value_and_grad`: (blocks, P + 3)."""
        share = self._share(rows, self.model.n_parameters + blocks.EXTRA)
        if share.rows is not None:
            x, y, weight = rows.part(share.rows)
            with self._sharing_failures(), numbered(rows.numbers(share.rows)):
                share.mine[:] = blocks.value_and_grad(
                    self.model, theta, x, y, self.backend, self.method, weight,
                    self._key(share.rows, is_drawn=draws_its_plan(self.method)),
                )  # fmt: skip
        return self._summed(share)

    def scores(self, theta: FloatArray, rows: RowSelection) -> FloatArray:
        """All blocks of `learn.step.evaluate`: (blocks, 3)."""
        share = self._share(rows, blocks.EXTRA)
        if share.rows is not None:
            x, y, weight = rows.part(share.rows)
            with self._sharing_failures(), numbered(rows.numbers(share.rows)):
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

    def outputs(self, theta: FloatArray, rows: RowSelection) -> FloatArray:
        """All blocks of `learn.step.block_outputs`: (blocks, 16, K), on every worker."""
        share = self._share(rows, blocks.BLOCK * self.model.n_outputs)
        if share.rows is not None:
            x, _, _ = rows.part(share.rows)
            with self._sharing_failures(), numbered(rows.numbers(share.rows)):
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
            numbers = rows.numbers(share.rows)
            for block, start in enumerate(range(0, len(x), blocks.BLOCK)):
                with self._sharing_failures(), numbered(numbers[start:]):
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
    def _sharing_failures(self) -> Iterator[None]:
        """Keep a failure of the backend until the sum, with which all workers learn of it."""
        try:
            yield
        except QStoreError as exc:
            if failure_of(exc) is None:
                raise
            self._failure = exc

    def _summed(self, share: _Share) -> FloatArray:
        """The blocks of all workers (blocks, width).

        Raises:
            QStoreError: the backend failed in one of them.
        """
        self._calls += 1
        share.values[-_NOTES], self.control = self.control.to_number(), Control()
        failure, self._failure = self._failure, None
        share.values[1 - _NOTES :] = [*self.backend.take(), *failures_as_numbers(failure)]
        summed = self.reducer.all_reduce(share.values)
        self._received |= Control.from_number(summed[-_NOTES])  # worker 0 alone asks
        self.usage = self.usage + summed[1 - _NOTES : 3 - _NOTES]
        failure = failure or failure_from_numbers(summed[3 - _NOTES :].tolist())
        if failure is not None:
            raise failure
        return summed[:-_NOTES].reshape(share.shape)


class _Share(NamedTuple):
    """One worker's part of a sum: its rows (None if it has none) and where their blocks go."""

    rows: slice | None
    mine: FloatArray
    values: FloatArray
    shape: tuple[int, int]


@dataclass(frozen=True)
class BatchProblem:
    """The mean loss over one batch as a function of θ; see `learn.optimizers.base.Problem`.

    Args:
        rows: the batch's.
        key: (seed, step).
    """

    objective: TrainingObjective
    rows: RowSelection
    key: tuple[int, int]

    @property
    def n_circuit(self) -> int:
        """How many numbers at the head of θ are the circuit's."""
        return self.objective.model.sizes["circuit"]

    @property
    def n_rows(self) -> int:
        """How many rows the batch has."""
        return self.rows.count

    @property
    def metric_blocks(self) -> tuple[int, ...]:
        """The layer of each of the circuit's parameters."""
        return layers(self.objective.model.circuit.template)

    def values(self, thetas: FloatArray) -> FloatArray:
        """Mean losses at (M, P): (M,)."""
        sums = [blocks.total(self.objective.scores(theta, self.rows)) for theta in thetas]
        return np.array([found.loss / found.n_rows for found in sums])

    def slope(self, theta: FloatArray, n_rows: int | None = None) -> Slope:
        """The gradient over the first rows of the batch, and its variance from row to row."""
        found = self.objective.gradient(theta, self.rows.first(n_rows))
        sums = blocks.total(found)
        return Slope(sums.gradient / sums.n_rows, blocks.row_variance(found))

    def metric(self, theta: FloatArray) -> FloatArray:
        """The Fubini–Study metric of the circuit's parameters, mean over the rows."""
        model, backend, size = self.objective.model, self.objective.backend, self.n_circuit
        template = model.circuit.template

        def of_block(x: FloatArray) -> FloatArray:
            found = metrics(backend, template, _bindings(model, theta, x))
            summed: FloatArray = found.sum(axis=0).ravel()
            return summed

        summed = self.objective.over_rows(self.rows, size * size, of_block)
        mean: FloatArray = summed.reshape(size, size) / self.rows.count
        return mean

    def fidelities(self, theta: FloatArray, others: FloatArray) -> FloatArray:
        """Mean |⟨ψ(θ)|ψ(θ')⟩|² over the rows, for each θ' of (M, P): (M,)."""
        model, backend = self.objective.model, self.objective.backend
        template = model.circuit.template

        def of_block(x: FloatArray) -> FloatArray:
            there = [_bindings(model, other, x) for other in others]
            here = _bindings(model, theta, x)
            summed: FloatArray = fidelities(backend, template, here, there).sum(axis=1)
            return summed

        summed = self.objective.over_rows(self.rows, len(others), of_block)
        mean: FloatArray = summed / self.rows.count
        return mean


def _bindings(model: QuantumModel, theta: FloatArray, x: FloatArray) -> Bindings:
    """The circuit's slots for features (B, F) at θ."""
    parts = model.split(theta)
    inner, _ = model.inputs(parts, x)
    return model.bindings(parts, inner, model.circuit.angles(inner))

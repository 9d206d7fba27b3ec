"""The loss over rows, computed by all workers together.

Rows are cut into blocks of 16; each worker computes its share of the blocks and leaves zeros for
the rest, one all-reduce gives everyone all blocks, and everyone adds them in the same order. So a
sum has the same bits on every worker and for any number of workers. Two small things travel with
every sum: worker 0's wishes (stop, save, report), which all workers then act on after the same
step, and what each worker used of its backend.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from qstore_ray.backends.base import Backend, Bindings
from qstore_ray.backends.meter import metered
from qstore_ray.errors import numbered
from qstore_ray.learn import step as blocks
from qstore_ray.learn.gradients import get_gradient
from qstore_ray.learn.metric import fidelities, layers, metrics
from qstore_ray.learn.model import QuantumModel
from qstore_ray.learn.optimizers.base import Slope
from qstore_ray.train.sync import Reducer

if TYPE_CHECKING:
    from collections.abc import Callable

    from qstore_ray.types import AnyArray, FloatArray

_NOTES = 3  # behind every sum: wishes, circuits, shots


@dataclass(frozen=True, eq=False)  # arrays have no truth value
class Rows:
    """Rows of a table: all of x (N, F) and y (N, …), or those that `index` (B,) names, in order.

    `number` (N,) is what every row of the table is called in errors; its place where None. They
    have the weights `weight` (N,) in a loss, or 1 each.
    """

    x: FloatArray
    y: AnyArray
    index: AnyArray | None = None
    number: AnyArray | None = None
    weight: FloatArray | None = None

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

    def first(self, count: int | None) -> Rows:
        """The first `count` of them; all of them for None."""
        index = np.arange(len(self.x)) if self.index is None else self.index
        return replace(self, index=index[:count])

    def split(self, size: int) -> list[Rows]:
        """They, in order, `size` at a time; the last part may be shorter."""
        if self.count <= size:
            return [self]
        index = np.arange(len(self.x)) if self.index is None else self.index
        return [replace(self, index=index[i : i + size]) for i in range(0, len(index), size)]


class Objective:
    """Sums over rows, by all workers. Used in every worker; all make the same calls in order.

    Attributes:
        wish: worker 0's wishes, as bits; they go with the next sum.
        heard: wishes that came with the sums since `take_heard`.
        usage: circuits and shots of all workers (2,), so far.
    """

    def __init__(
        self, model: QuantumModel, backend: Backend, gradient: str, reducer: Reducer
    ) -> None:
        self.model, self.reducer = model, reducer
        self.backend = metered(backend)
        self.method = get_gradient(gradient, self.backend)
        self.wish = self.heard = 0
        self.usage = np.zeros(2)

    def take_heard(self) -> int:
        """The wishes heard since the last call."""
        heard, self.heard = self.heard, 0
        return heard

    def gradient(self, theta: FloatArray, rows: Rows) -> FloatArray:
        """All blocks of `learn.step.value_and_grad`: (blocks, P + 3)."""

        def compute(mine: slice) -> FloatArray:
            x, y, weight = rows.part(mine)
            return blocks.value_and_grad(self.model, theta, x, y, self.backend, self.method, weight)

        return self._all_blocks(rows, self.model.n_parameters + blocks.EXTRA, compute)

    def scores(self, theta: FloatArray, rows: Rows) -> FloatArray:
        """All blocks of `learn.step.evaluate`: (blocks, 3)."""

        def compute(mine: slice) -> FloatArray:
            x, y, weight = rows.part(mine)
            return blocks.evaluate(self.model, theta, x, y, self.backend, weight)

        return self._all_blocks(rows, blocks.EXTRA, compute)

    def outputs(self, theta: FloatArray, rows: Rows) -> FloatArray:
        """All blocks of `learn.step.block_outputs`: (blocks, 16, K), on every worker."""
        width = blocks.BLOCK * self.model.n_outputs

        def compute(mine: slice) -> FloatArray:
            x, _, _ = rows.part(mine)
            found = blocks.block_outputs(self.model, theta, x, self.backend)
            return found.reshape(len(found), width)

        return self._all_blocks(rows, width, compute).reshape(
            -1, blocks.BLOCK, self.model.n_outputs
        )

    def over_rows(
        self, rows: Rows, width: int, of_block: Callable[[FloatArray], FloatArray]
    ) -> FloatArray:
        """Σ over rows of `of_block(x)`, which sums over the rows it is given: (width,)."""

        def compute(mine: slice) -> FloatArray:
            x, _, _ = rows.part(mine)
            found = []
            for start in range(0, len(x), blocks.BLOCK):
                with numbered(range(start, len(x))):
                    found.append(of_block(x[start : start + blocks.BLOCK]))
            return np.stack(found)

        summed: FloatArray = self._all_blocks(rows, width, compute).sum(axis=0)
        return summed

    def _all_blocks(
        self, rows: Rows, width: int, compute: Callable[[slice], FloatArray]
    ) -> FloatArray:
        """The blocks (blocks, width) of all workers; `compute` gives those of a slice of rows."""
        n_blocks = -(-rows.count // blocks.BLOCK)
        rank, size = self.reducer.rank, self.reducer.world_size
        first, end = n_blocks * rank // size, n_blocks * (rank + 1) // size
        local = np.zeros(n_blocks * width + _NOTES)
        if end > first:
            mine = slice(first * blocks.BLOCK, end * blocks.BLOCK)
            with numbered(rows.numbers(mine)):
                found = compute(mine)
            local[first * width : end * width] = found.ravel()
        local[-_NOTES], self.wish = self.wish, 0
        local[1 - _NOTES :] = self.backend.take()
        summed = self.reducer.all_reduce(local)
        self.heard |= int(summed[-_NOTES])  # worker 0 alone wishes
        self.usage = self.usage + summed[1 - _NOTES :]
        return summed[:-_NOTES].reshape(n_blocks, width)


@dataclass(frozen=True)
class BatchProblem:
    """The mean loss over one batch as a function of θ; see `learn.optimizers.base.Problem`.

    Args:
        rows: the batch's.
        key: (seed, step).
    """

    objective: Objective
    rows: Rows
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

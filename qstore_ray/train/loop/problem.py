"""The mean loss over one batch as a function of θ: what an optimizer that searches may ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from qstore_ray.learn import step as blocks
from qstore_ray.learn.fubini_study import layers, metrics
from qstore_ray.learn.optimizers.base import Slope
from qstore_ray.train.loop.objective import (
    FidelityPoints,
    RowSelection,
    TrainingObjective,
    bindings_at,
)

if TYPE_CHECKING:
    from qstore_ray.types import FloatArray


class BatchProblem:
    """A batch, at the point of a step; see `learn.optimizers.base.Problem`.

    The score at that point, which every step records, is asked for with the first values.

    Args:
        rows: the batch's.
        key: (seed, step).
        theta: the point of the step.
    """

    def __init__(
        self,
        objective: TrainingObjective,
        rows: RowSelection,
        key: tuple[int, int],
        theta: FloatArray,
    ) -> None:
        self.objective, self.rows, self.key = objective, rows, key
        self._theta = theta
        self._here: FloatArray | None = None

    def here(self) -> FloatArray:
        """The blocks of scores (blocks, 3) at the point of the step."""
        if self._here is None:
            self._here = self.objective.scores(self._theta, self.rows)
        return self._here

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
        return self._values(thetas, None)[0]

    def values_and_fidelities(
        self, thetas: FloatArray, theta: FloatArray, others: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """`values(thetas)` and `fidelities(theta, others)`, asked for at once."""
        return self._values(thetas, FidelityPoints(theta, others))

    def _values(
        self, thetas: FloatArray, overlaps: FidelityPoints | None
    ) -> tuple[FloatArray, FloatArray]:
        points = thetas if self._here is not None else np.vstack([self._theta, thetas])
        found, seen = self.objective.scores_at(points, self.rows, overlaps)
        if self._here is None:
            self._here, found = found[0], found[1:]
        sums = [blocks.total(each) for each in found]
        return np.array([each.loss / each.n_rows for each in sums]), seen

    def slope(self, theta: FloatArray, n_rows: int | None = None) -> Slope:
        """The gradient over the first rows of the batch, and its variance from row to row."""
        self.here()
        found = self.objective.gradient(theta, self.rows.first(n_rows))
        sums = blocks.total(found)
        return Slope(sums.gradient / sums.n_rows, blocks.row_variance(found))

    def metric(self, theta: FloatArray) -> FloatArray:
        """The Fubini–Study metric of the circuit's parameters, mean over the rows."""
        self.here()
        model, backend, size = self.objective.model, self.objective.backend, self.n_circuit
        template = model.circuit.template

        def of_block(x: FloatArray) -> FloatArray:
            found = metrics(backend, template, bindings_at(model, theta, x))
            summed: FloatArray = found.sum(axis=0).ravel()
            return summed

        summed = self.objective.over_rows(self.rows, size * size, of_block)
        mean: FloatArray = summed.reshape(size, size) / self.rows.count
        return mean

    def fidelities(self, theta: FloatArray, others: FloatArray) -> FloatArray:
        """Mean |⟨ψ(θ)|ψ(θ')⟩|² over the rows, for each θ' of (M, P): (M,)."""
        self.here()
        return self.objective.scores_at(theta[:0], self.rows, FidelityPoints(theta, others))[1]

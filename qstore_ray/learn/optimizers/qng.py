"""Quantum natural gradient: steps measured by how far the state moves (Stokes et al. 2020).

Plain descent takes a step of a given length in the parameters, so it depends on how the circuit
happens to be parametrised: where two parameters turn the state almost alike it goes too far, where
one hardly turns it, it crawls. The natural gradient measures length by the Fubini–Study metric G of
the state (arXiv:1909.02108) and goes down G⁻¹∇f. Only the circuit's parameters have such a metric;
the others are moved by the plain gradient.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from qstore_ray.config import Config
from qstore_ray.learn.fubini_study import natural_direction

if TYPE_CHECKING:
    from qstore_ray.learn.optimizers.base import OptimizerState, Problem
    from qstore_ray.types import FloatArray


class QNG(Config):
    """θ ← θ − η (G + λI)⁻¹ ∇f on the circuit's parameters, θ ← θ − η ∇f on the others.

    G is the mean over the rows of the batch. It is computed exactly, from one more state for every
    gate with a parameter and row.

    Args:
        approximation: what of G is kept: `full`; `block_diagonal`, entries between parameters of
            one layer, as in the paper; `diagonal`.
        regularization: λ, so that directions which do not move the state at all have a step.
    """

    approximation: Literal["full", "block_diagonal", "diagonal"] = "full"
    regularization: float = Field(default=0.01, gt=0.0)

    def init(self, theta: FloatArray) -> OptimizerState:
        """No state."""
        return {}

    def search(
        self,
        state: OptimizerState,
        theta: FloatArray,
        problem: Problem,
        learning_rate: float,
    ) -> tuple[FloatArray, OptimizerState]:
        """One step; see `SearchOptimizer.search`."""
        n = problem.n_circuit
        direction = problem.slope(theta).gradient.copy()
        metric = self._kept(problem.metric(theta), problem)
        direction[:n] = natural_direction(metric, direction[:n], self.regularization)
        return theta - learning_rate * direction, {}

    def _kept(self, metric: FloatArray, problem: Problem) -> FloatArray:
        if self.approximation == "full":
            return metric
        blocks = np.array(problem.metric_blocks)
        if self.approximation == "diagonal":
            blocks = np.arange(problem.n_circuit)
        return np.where(blocks[:, None] == blocks[None, :], metric, 0.0)

"""QN-SPSA: the natural gradient with a metric that is estimated too (Gacon et al. 2021).

The Fubini–Study metric is −½ times the Hessian of the fidelity F(θ, θ') = |⟨ψ(θ)|ψ(θ')⟩|² by θ' at
θ' = θ. Two random directions Δ¹, Δ² and four fidelities give a sample of it (arXiv:2103.09232),

    δF = F(θ + cΔ¹ + cΔ²) − F(θ + cΔ¹) − F(θ − cΔ¹ + cΔ²) + F(θ − cΔ¹)
    ĝ  = −½ · δF / (2c²) · (Δ¹Δ²ᵀ + Δ²Δ¹ᵀ) / 2

whose running mean ḡ over all steps replaces the metric. Being an estimate, ḡ need not be positive:
the step uses √(ḡḡ) + βI. A step costs two values and four fidelities for each direction,
independent of the number of parameters; all are asked for at once. Only the circuit's parameters
have a metric; the others are moved by the plain SPSA gradient.

From S shots a fidelity near 1 has a standard error of about c √(P/S), which ĝ divides by c²: take
a perturbation of 0.1 or 0.2 then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from qstore_ray.config import Config
from qstore_ray.learn.fubini_study import natural_direction
from qstore_ray.learn.optimizers.spsa import (
    along_signs,
    either_side,
    random_signs,
    slopes_of,
    unless_it_rises,
)

if TYPE_CHECKING:
    from qstore_ray.learn.optimizers.base import OptimizerState, Problem
    from qstore_ray.types import FloatArray

_GRADIENT, _FIRST, _SECOND = 0x4151, 0x4152, 0x4153


class QNSPSA(Config):
    """θ ← θ − η (√(ḡḡ) + βI)⁻¹ ĝradient, both factors by simultaneous perturbation.

    Args:
        perturbation: c, radians; the same in every step.
        directions: random directions a step, for the gradient and for the metric.
        regularization: β. Small values let the first samples of the metric throw the parameters
            far; the identity that ḡ starts from dampens them.
        blocking: take a step only where the value does not rise by more than `allowed_increase`
            (two more values a step), as the authors advise.
        allowed_increase: by how much the value may rise.
    """

    perturbation: float = Field(default=0.01, gt=0.0)
    directions: int = Field(default=1, ge=1)
    regularization: float = Field(default=0.001, gt=0.0)
    blocking: bool = True
    allowed_increase: float = Field(default=0.0, ge=0.0)

    def init(self, theta: FloatArray) -> OptimizerState:
        """The mean of the metric is I: (len(θ), len(θ)), of which the circuit's corner is used."""
        return {"k": np.zeros(1), "metric": np.eye(len(theta))}

    def search(
        self,
        state: OptimizerState,
        theta: FloatArray,
        problem: Problem,
        learning_rate: float,
    ) -> tuple[FloatArray, OptimizerState]:
        """One step; see `SearchOptimizer.search`."""
        k = state["k"] + 1.0
        n = problem.n_circuit
        metric = state["metric"].copy()
        signs = random_signs(problem.key, _GRADIENT, (self.directions, len(theta)))
        pairs = self._pairs(problem)
        values, fidelities = problem.values_and_fidelities(
            either_side(theta, signs, self.perturbation), theta, self._moved(theta, pairs)
        )
        metric[:n, :n] = (k * metric[:n, :n] + self._sample(fidelities, pairs)) / (k + 1.0)
        direction = along_signs(slopes_of(values, self.perturbation), signs)
        direction[:n] = natural_direction(metric[:n, :n], direction[:n], self.regularization)
        moved = theta - learning_rate * direction
        if self.blocking:
            moved = unless_it_rises(problem, theta, moved, self.allowed_increase)
        return moved, {"k": k, "metric": metric}

    def _pairs(self, problem: Problem) -> tuple[FloatArray, FloatArray]:
        """Δ¹ and Δ², each (directions, n_circuit)."""
        shape = (self.directions, problem.n_circuit)
        return random_signs(problem.key, _FIRST, shape), random_signs(problem.key, _SECOND, shape)

    def _moved(self, theta: FloatArray, pairs: tuple[FloatArray, FloatArray]) -> FloatArray:
        """The points (4 · directions, P) whose fidelities with θ are δF."""
        first, second = pairs
        shifts = np.concatenate([first + second, first, second - first, -first])
        points = np.tile(theta, (len(shifts), 1))
        points[:, : first.shape[1]] += self.perturbation * shifts
        return points

    def _sample(self, fidelities: FloatArray, pairs: tuple[FloatArray, FloatArray]) -> FloatArray:
        """ĝ (n_circuit, n_circuit), the mean over the directions."""
        (first, second), c = pairs, self.perturbation
        both, plus, across, minus = fidelities.reshape(4, self.directions)
        curvature = -0.5 * (both - plus - across + minus) / (2.0 * c * c)
        outer = first[:, :, None] * second[:, None, :]
        symmetric = 0.5 * (outer + outer.transpose(0, 2, 1))
        sample: FloatArray = (curvature[:, None, None] * symmetric).mean(axis=0)
        return sample

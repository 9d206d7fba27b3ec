"""SPSA: a slope from two values, for any number of parameters (Spall 1992, 1998).

All parameters are moved at once, by ±c in a direction Δ of random signs. The difference of the two
values, divided by 2c Δ_i, is an estimate of ∂f/∂θ_i with an error of order c² in the mean. It is a
noisy one, so its steps shrink with the gains

    a_k = a / (k + 1 + A)^α        c_k = c / (k + 1)^γ        k = 0, 1, …

of which Spall recommends α = 0.602 and γ = 0.101. Here a is the learning rate. Directions are drawn
from the problem's key (seed, step): all workers draw the same, and so does a resumed run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from qstore_ray.config import Config

if TYPE_CHECKING:
    from qstore_ray.learn.optimizers.base import OptimizerState, Problem
    from qstore_ray.types import FloatArray

_GRADIENT, _CALIBRATION = 0x59A1, 0x59A2


class SPSA(Config):
    """θ ← θ − a_k ĝ, with ĝ = Δ (f(θ + c_k Δ) − f(θ − c_k Δ)) / (2 c_k) averaged over directions.

    Args:
        perturbation: c, radians.
        directions: random directions a step; two values each.
        stability: A; about a tenth of the steps of a run is usual.
        alpha, gamma: exponents of the gains.
        calibration: directions of the first step that find the size of a slope (two more values
            each). Then a is taken so that the first step moves a parameter by about the learning
            rate, which needs no knowledge of the loss. If all of them are flat, the size is that of
            the first later step with a slope. 0: a is the learning rate itself.
        blocking: take a step only where the value does not rise by more than `allowed_increase`
            (two more values a step).
        allowed_increase: by how much the value may rise.
    """

    perturbation: float = Field(default=0.1, gt=0.0)
    directions: int = Field(default=1, ge=1)
    stability: float = Field(default=0.0, ge=0.0)
    alpha: float = Field(default=0.602, ge=0.0, le=1.0)
    gamma: float = Field(default=0.101, ge=0.0, le=1.0)
    calibration: int = Field(default=0, ge=0)
    blocking: bool = False
    allowed_increase: float = Field(default=0.0, ge=0.0)

    def init(self, theta: FloatArray) -> OptimizerState:
        """Step 0; the factor that makes the learning rate a is 1, or 0 while not calibrated."""
        return {"k": np.zeros(1), "factor": np.full(1, 0.0 if self.calibration else 1.0)}

    def calibrated(self, state: OptimizerState) -> OptimizerState:
        """The state after the first step; see `Calibrates`."""
        return {**state, "k": np.ones(1)}

    def search(
        self,
        state: OptimizerState,
        theta: FloatArray,
        problem: Problem,
        learning_rate: float,
    ) -> tuple[FloatArray, OptimizerState]:
        """One step; see `SearchOptimizer.search`."""
        k, factor = state["k"], state["factor"]
        c = self.perturbation / float(k[0] + 1.0) ** self.gamma
        if factor[0] == 0.0 and k[0] == 0.0:
            factor = self._factor(self._first_slopes(theta, problem, c))
        signs = random_signs(problem.key, _GRADIENT, (self.directions, len(theta)))
        slopes = slopes_along(problem, theta, signs, c)
        if factor[0] == 0.0:
            factor = self._factor(slopes)
        gradient = along_signs(slopes, signs)
        gain = learning_rate * factor / (k + 1.0 + self.stability) ** self.alpha
        moved = theta - gain * gradient
        if self.blocking:
            moved = unless_it_rises(problem, theta, moved, self.allowed_increase)
        return moved, {"k": k + 1.0, "factor": factor}

    def _first_slopes(self, theta: FloatArray, problem: Problem, c: float) -> FloatArray:
        """Slopes along the directions of the calibration (D,)."""
        signs = random_signs(problem.key, _CALIBRATION, (self.calibration, len(theta)))
        return slopes_along(problem, theta, signs, c)

    def _factor(self, slopes: FloatArray) -> FloatArray:
        """(1 + A)^α over the mean size of the slopes; 0 if all are flat."""
        size = np.abs(slopes).mean(keepdims=True)
        rise = (1.0 + self.stability) ** self.alpha
        factor: FloatArray = np.divide(rise, size, out=np.zeros(1), where=size != 0.0)
        return factor


def random_signs(key: tuple[int, int], purpose: int, shape: tuple[int, int]) -> FloatArray:
    """An array of ±1, the same for the same key and purpose, independent for others."""
    rng = np.random.default_rng([*key, purpose])
    signs: FloatArray = np.where(rng.integers(0, 2, size=shape) == 1, 1.0, -1.0)
    return signs


def slopes_along(problem: Problem, theta: FloatArray, signs: FloatArray, c: float) -> FloatArray:
    """(f(θ + cΔ) − f(θ − cΔ)) / 2c for every direction Δ of (D, P): (D,)."""
    return slopes_of(problem.values(either_side(theta, signs, c)), c)


def either_side(theta: FloatArray, signs: FloatArray, c: float) -> FloatArray:
    """θ + cΔ for every direction Δ of (D, P), then θ − cΔ: (2D, P)."""
    return np.concatenate([theta + c * signs, theta - c * signs])


def slopes_of(values: FloatArray, c: float) -> FloatArray:
    """The slopes (D,) from the values (2D,) on either side."""
    plus, minus = np.split(values, 2)
    found: FloatArray = (plus - minus) / (2.0 * c)
    return found


def along_signs(along: FloatArray, signs: FloatArray) -> FloatArray:
    """The mean over directions Δ (D, P) of Δ · slope along Δ: (P,). (1/Δ_i is Δ_i.)"""
    gradient: FloatArray = (along[:, None] * signs).mean(axis=0)
    return gradient


def unless_it_rises(
    problem: Problem, theta: FloatArray, moved: FloatArray, allowed: float
) -> FloatArray:
    """`moved`, or θ where the value at `moved` is higher by more than `allowed`, or not finite."""
    before, after = problem.values(np.stack([theta, moved]))
    return moved if after <= before + allowed else theta

"""Rotosolve: move one parameter after the other to its minimum in closed form.

An expectation value is, in the angle φ of one rotation exp(−iφP/2) with all else held fixed,
A sin(φ + B) + C. Three values determine A, B and C, and so the minimum (Vidal & Theis 2018,
arXiv:1812.06323; Ostaszewski et al. 2021, arXiv:1905.09692; Nakanishi et al. 2020):

    δ* = −π/2 − atan2(2 f(0) − f(π/2) − f(−π/2), f(π/2) − f(−π/2))

This is exact where the parameter is the angle of a single rotation gate (scale ±1, no other gate,
not a controlled rotation) and the loss is a linear function of the expectation values, as an energy
is. A loss such as cross entropy is not, nor is the mean of squares; a parameter that feeds several
gates has more frequencies. There the same formula is only a guess for the line search. In every
case the move is made only if the value at its end is really lower, so that a sweep never rises.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from qstore_ray.config import Config

if TYPE_CHECKING:
    from qstore_ray.learn.optimizers.base import OptimizerState, Problem
    from qstore_ray.types import FloatArray

_FLAT = 1e-12
"""An amplitude below this, relative to the value, is rounding: the parameter does nothing."""


class Rotosolve(Config):
    """A step is a sweep: each circuit parameter in turn to the minimum of A sin(θ_d + B) + C.

    A sweep over P parameters asks for 3P + 1 values, and does not use the learning rate. Parameters
    behind the circuit's (factors of angles, the head) are no angles; after the sweep they take
    one step θ ← θ − η ∂f/∂θ.
    """

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
        """One sweep; see `SearchOptimizer.search`."""
        n = problem.n_circuit
        value = float(problem.values(theta[None])[0])
        for number in range(n):
            theta, value = _to_minimum(theta, value, number, problem)
        if n < len(theta):
            theta = theta.copy()
            theta[n:] -= learning_rate * problem.slope(theta).gradient[n:]
        return theta, {}


def _to_minimum(
    theta: FloatArray, value: float, number: int, problem: Problem
) -> tuple[FloatArray, float]:
    """θ with that parameter at the minimum of the sine through three values, and the value there.

    Returns θ unchanged if that is not lower than `value`, the value at θ.
    """
    right, left = problem.values(_moved(theta, number, np.array([np.pi / 2, -np.pi / 2])))
    cosine, sine = 2.0 * value - right - left, right - left  # 2A sin B, 2A cos B at δ = 0
    if np.hypot(cosine, sine) <= _FLAT * max(abs(value), abs(right), abs(left)):
        shift = 0.0  # asked for all the same: a forecast counts on 3P + 1 values
    else:
        shift = -np.pi / 2 - np.arctan2(cosine, sine)
        shift += 2.0 * np.pi * (shift < -np.pi)  # the shorter way round
    found = _moved(theta, number, np.array([shift]))
    lowest = float(problem.values(found)[0])
    return (found[0], lowest) if lowest < value else (theta, value)


def _moved(theta: FloatArray, number: int, shifts: FloatArray) -> FloatArray:
    """θ with that parameter moved by each of the shifts: (M, P)."""
    thetas = np.tile(theta, (len(shifts), 1))
    thetas[:, number] += shifts
    return thetas

"""From values at several noise scales to the value without noise.

    linear        the straight line of least squares, at 0
    richardson    the polynomial of degree S − 1 through S values, at 0
    exponential   ± exp(a + b λ), of least squares of log |value|, at 0

Each also has a slope by each value, for variances and gradients. Where the values of one observable
do not all have one sign, no exponential goes through them, and the line is taken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from qstore_ray.types import FloatArray

Fit = Literal["linear", "exponential", "richardson"]


class Extrapolated(NamedTuple):
    """Values without noise (N, O), and their derivatives (S, N, O) by the values at S scales."""

    values: FloatArray
    slopes: FloatArray


def extrapolate(fit: Fit, scales: FloatArray, values: FloatArray) -> Extrapolated:
    """Extrapolate values (S, N, O) at S different scales (S,) to scale 0."""
    degree = len(scales) - 1 if fit == "richardson" else 1
    weights = _at_zero(scales, degree)[:, None, None]
    slopes = np.broadcast_to(weights, values.shape)
    found = (slopes * values).sum(axis=0)
    if fit != "exponential":
        return Extrapolated(found, slopes)
    signs = np.sign(values)
    decays = (signs == signs[0]).all(axis=0) & (signs[0] != 0.0)
    sizes = np.where(decays, np.abs(values), 1.0)
    at_zero = signs[0] * np.exp((weights * np.log(sizes)).sum(axis=0))
    by_value = at_zero * weights / np.where(decays, values, 1.0)
    return Extrapolated(np.where(decays, at_zero, found), np.where(decays, by_value, slopes))


def _at_zero(scales: FloatArray, degree: int) -> FloatArray:
    """Weights (S,) of the values in the polynomial of least squares, at 0."""
    weights: FloatArray = np.linalg.pinv(np.vander(scales, degree + 1, increasing=True))[0]
    return weights

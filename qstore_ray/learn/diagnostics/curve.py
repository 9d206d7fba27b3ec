"""Measures of a curve of losses: levels, noise, slope, fall."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from qstore_ray.types import FloatArray


LEVEL = 3  # values of which a level is the median: one outlier moves nothing
SIGMAS = 5.0  # of noise, above which a difference of levels is one
_PER_MAD = 1.4826  # standard deviations of a normal distribution in a median absolute deviation


def levels_of(curve: FloatArray, width: int = LEVEL) -> FloatArray:
    """Running medians of as many values."""
    return np.median(np.lib.stride_tricks.sliding_window_view(curve, width), axis=1)


def noise_of(curve: FloatArray) -> float:
    """σ, from the median size of second differences; 0 for fewer than three values."""
    second = np.abs(np.diff(curve, 2))
    return float(_PER_MAD * np.median(second) / math.sqrt(6.0)) if len(second) else 0.0


def slope_of(rows: FloatArray) -> float:
    """Least squares, per epoch."""
    times = np.arange(len(rows)) - (len(rows) - 1) / 2
    return float(times @ rows / (times @ times))


def has_fallen(curve: FloatArray) -> bool:
    """Whether the best level lies below the first one by more than noise."""
    if len(curve) < LEVEL:
        return False
    levels = levels_of(curve)
    return float(curve[0] - levels.min()) > SIGMAS * noise_of(curve)


def gradient_ratio(norms: FloatArray, noise: FloatArray) -> float:
    """Median of the gradient in units of its noise; infinite without noise."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.median(np.where(norms > 0.0, norms / noise, 0.0)))

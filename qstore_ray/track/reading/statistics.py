"""How sure a number is: intervals and slopes for metrics, each by its textbook formula.

An interval is two-sided and has the confidence asked for under the assumption that its docstring
names. Letters: n values, m counts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from qstore_ray.errors import ConfigError, DataError

if TYPE_CHECKING:
    from qstore_ray.types import FloatArray

Verdict: TypeAlias = Literal["rising", "falling", "flat"]
_ROUNDING = 1e-12
"""Changes below this share of the values are rounding, not a slope."""


@dataclass(frozen=True)
class Interval:
    """An estimate and the bounds around it, with the values or counts that it is from."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Trend:
    """A straight line's slope per epoch, its standard error, and what may be said of it."""

    slope: float
    standard_error: float
    verdict: Verdict


def exponential_mean(values: FloatArray, alpha: float) -> FloatArray:
    """sₖ = (1−α) Σⱼ αᵏ⁻ʲ xⱼ / (1 − αᵏ) for k = 1…n: TensorBoard's smoothing, debiased (n,).

    Raises:
        ConfigError: α is not in [0, 1).
    """
    if not 0.0 <= alpha < 1.0:
        raise ConfigError(
            "the smoothing weight is at least 0 and below 1",
            field="alpha",
            value=alpha,
            fix="Take 0.6, as TensorBoard does.",
        )
    result, total = np.empty(len(values)), 0.0
    for k, value in enumerate(values):
        total = alpha * total + (1.0 - alpha) * float(value)
        result[k] = total / (1.0 - alpha ** (k + 1))
    return result


def fitted_trend(x: FloatArray, y: FloatArray, confidence: float = 0.95) -> Trend:
    """Least-squares slope of y over x, both (n,), with s² = Σ residual² / (n−2) / Σ (x−x̄)².

    It is rising or falling where its t interval does not hold 0, else flat. Assumes residuals that
    are independent and normal; those of a training curve are not quite, so a slope that is just
    significant should be looked at.

    Raises:
        DataError: fewer than 3 points, or all at one x.
    """
    _check_confidence(confidence)
    if len(x) < 3 or np.ptp(x) == 0:
        raise DataError(
            "a slope and its error need 3 points",
            field="window",
            value=len(x),
            fix="Take a longer window, or train on.",
        )
    spread = x - x.mean()
    square = float(spread @ spread)
    slope = float(spread @ y) / square
    residuals = y - y.mean() - slope * spread
    error = math.sqrt(float(residuals @ residuals) / (len(x) - 2) / square)
    rounding = _ROUNDING * float(np.abs(y).max()) / float(np.ptp(x))
    if abs(slope) <= max(_quantile(confidence, len(x) - 2) * error, rounding):
        return Trend(slope, error, "flat")
    return Trend(slope, error, "rising" if slope > 0 else "falling")


def mean_interval(values: Sequence[float] | FloatArray, confidence: float = 0.95) -> Interval:
    """x̄ ± t s/√n: Student's interval for the mean of n independent normal values, as of n seeds.

    Raises:
        DataError: fewer than 2 values.
    """
    _check_confidence(confidence)
    data = np.asarray(values, dtype=np.float64)
    if len(data) < 2:
        raise DataError(
            "one value says nothing about its spread",
            field="runs",
            value=len(data),
            fix="Give at least 2 runs with different seeds.",
        )
    mean = float(data.mean())
    half = _quantile(confidence, len(data) - 1) * float(data.std(ddof=1)) / math.sqrt(len(data))
    return Interval(mean, mean - half, mean + half, len(data))


def weighted_mean_interval(
    values: FloatArray, counts: FloatArray, confidence: float = 0.95
) -> Interval:
    """Student's interval for a weighted mean; `counts` (n,) sum to the effective number of values.

    Raises:
        DataError: one value or less in effect.
    """
    _check_confidence(confidence)
    n = float(counts.sum())
    if n <= 1.0:
        raise DataError("one value says nothing about its spread", field="runs", value=n)
    mean = float(np.average(values, weights=counts))
    variance = float(np.average((values - mean) ** 2, weights=counts)) * n / (n - 1.0)
    half = _quantile(confidence, n - 1.0) * math.sqrt(variance / n)
    return Interval(mean, mean - half, mean + half, len(values))


def wilson_interval(hits: int, m: int, confidence: float = 0.95) -> Interval:
    """Wilson's score interval (1927) for a share of hits among m independent trials.

    Unlike p ± z √(p(1−p)/m) it stays in [0, 1] and has a width at 0 and at m hits.

    Raises:
        DataError: no trials, or more hits than trials.
    """
    _check_confidence(confidence)
    if m < 1 or not 0 <= hits <= m:
        raise DataError(
            "hits are from 0 to the number of trials, which is at least 1",
            field="hits",
            value=(hits, m),
            fix="Give the number of right answers and of rows.",
        )
    z, p = _quantile(confidence), hits / m
    scale = 1.0 + z * z / m
    middle = (p + z * z / (2 * m)) / scale
    half = z / scale * math.sqrt(p * (1.0 - p) / m + z * z / (4 * m * m))
    return Interval(p, max(0.0, middle - half), min(1.0, middle + half), m)


def sampled_interval(value: float, variance: float, confidence: float = 0.95) -> Interval:
    """v ± z σ for an estimate with a known variance σ², as of an expectation value from shots.

    Raises:
        DataError: a variance below 0.
    """
    _check_confidence(confidence)
    if variance < 0:
        raise DataError(
            "a variance is not negative",
            field="variance",
            value=variance,
            fix="Record the variance of the value, not its error.",
        )
    half = _quantile(confidence) * math.sqrt(variance)
    return Interval(value, value - half, value + half, 1)


def _quantile(confidence: float, freedom: float | None = None) -> float:
    """How many standard errors the interval reaches: Student's t, or normal without a number."""
    from scipy import special

    share = (1.0 + confidence) / 2.0
    found = special.ndtri(share) if freedom is None else special.stdtrit(freedom, share)
    return float(found)


def _check_confidence(confidence: float) -> None:
    if not 0.0 < confidence < 1.0:
        raise ConfigError(
            "a confidence is between 0 and 1",
            field="confidence",
            value=confidence,
            fix="Take 0.95.",
        )

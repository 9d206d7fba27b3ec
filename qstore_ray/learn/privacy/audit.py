"""What guesses about rows prove about ε: statistics of an audit.

An auditor puts m canaries into a training, each by a fair coin, and guesses afterwards which are
in. If a training is (ε, δ)-private, a guess is right with probability at most e^ε / (1 + e^ε), and
the guesses of one run are as good as independent (Steinke, Nasr & Jagielski 2023,
arXiv:2305.08846). So too many right guesses refute a claim. Few right guesses prove nothing: the
attack may be weak, and r guesses that are all right show no more than about log(r / 3).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.special import ndtr
from scipy.stats import binom, chi2, rankdata

from qstore_ray.errors import ConfigError

if TYPE_CHECKING:
    from qstore_ray.types import FloatArray


class Guesses(NamedTuple):
    """How many guesses were made, and how many were right."""

    made: int
    right: int


def guesses(scores: FloatArray, included: FloatArray, made: int) -> Guesses:
    """Guess "in" for the highest half of `made` scores and "out" for the lowest half.

    Args:
        scores: of the canaries (m,), larger for those that look included.
        included: 1 for a canary that was in, 0 for one that was not (m,).
        made: fixed before anybody looks at the scores; even, at most m.

    Raises:
        ConfigError: more guesses than canaries, or none.
    """
    half = made // 2
    if not 0 < 2 * half <= len(scores):
        raise ConfigError(
            f"an audit of {len(scores)} canaries makes 2 to {len(scores)} guesses",
            field="guesses",
            value=made,
            fix="Take a fifth of the canaries.",
        )
    order = np.argsort(scores, kind="stable")
    right = included[order[-half:]].sum() + (1 - included[order[:half]]).sum()
    return Guesses(2 * half, int(right))


def chance_of(found: Guesses, epsilon: float, delta: float, canaries: int) -> float:
    """The largest probability of so many right guesses, or more, under an (ε, δ) claim."""
    p = 1.0 / (1.0 + math.exp(-epsilon))
    right = np.arange(found.right, 0, -1) - 1  # v − 1, v − 2, …, 0
    beta = float(binom.sf(found.right - 1, found.made, p))
    below = np.cumsum(binom.pmf(right, found.made, p))
    alpha = float((below / np.arange(1, len(right) + 1)).max(initial=0.0))
    return min(1.0, beta + 2.0 * canaries * delta * alpha)


def epsilon_bound(
    found: Guesses, delta: float, canaries: int, *, confidence: float = 0.95
) -> float:
    """The ε that the guesses refute: with `confidence`, the training spends at least this.

    It is 0 if they are no better than chance.
    """
    low, high = 0.0, 30.0
    if chance_of(found, low, delta, canaries) > 1.0 - confidence:
        return 0.0
    while high - low > 1e-6:
        middle = (low + high) / 2.0
        refuted = chance_of(found, middle, delta, canaries) <= 1.0 - confidence
        low, high = (middle, high) if refuted else (low, middle)
    return low


def ceiling(made: int, delta: float, canaries: int) -> float:
    """The largest ε that so many guesses can refute, if all of them are right."""
    return epsilon_bound(Guesses(made, made), delta, canaries)


def area(scores: FloatArray, included: FloatArray) -> float:
    """The area under the ROC curve: how often a canary that is in scores above one that is not."""
    n_in = int(included.sum())
    n_out = len(included) - n_in
    ranks = rankdata(scores)[included.astype(bool)].sum()
    return float((ranks - n_in * (n_in + 1) / 2.0) / (n_in * n_out))


def area_error(expected: float, n_in: int, n_out: int) -> float:
    """The standard error of `area` about its expectation (Hanley & McNeil 1982)."""
    first = expected / (2.0 - expected)
    second = 2.0 * expected**2 / (1.0 + expected)
    variance = (
        expected * (1.0 - expected)
        + (n_in - 1) * (first - expected**2)
        + (n_out - 1) * (second - expected**2)
    ) / (n_in * n_out)
    return math.sqrt(max(variance, 1.0 / (4.0 * n_in * n_out)))


def expected_area(
    *, sample_rate: float, noise_multiplier: float, steps: int, always: int | None = None
) -> float:
    """The area that the sum over all steps gives for canaries of gradients at the clipping norm.

    A canary that is in adds K · C to a sum of noise N(0, steps · σ²C²); K is the number of steps
    that it joined.

    Args:
        always: K, if it is the same for all canaries; else it is binomial with `sample_rate`.
    """
    if noise_multiplier == 0.0:
        return 1.0 - 0.5 * (1.0 - sample_rate) ** steps if always is None else 1.0
    counts = np.array([always]) if always is not None else np.arange(steps + 1)
    weight = np.ones(1) if always is not None else binom.pmf(counts, steps, sample_rate)
    shift = counts / (noise_multiplier * math.sqrt(2.0 * steps))
    return float((weight * ndtr(shift)).sum())


def largest_area(epsilon: float, delta: float) -> float:
    """The largest area of any attack under an (ε, δ) claim: that of its trade-off curve."""
    if epsilon > 50.0:  # nothing is claimed
        return 1.0
    false = np.linspace(0.0, 1.0, 20_001)
    rising = math.exp(epsilon) * false + delta
    true = np.minimum(rising, 1.0 - math.exp(-epsilon) * (1.0 - delta - false))
    return float(np.trapezoid(np.clip(true, 0.0, 1.0), false))


def spread_chance(value: float, degrees: int) -> float:
    """How probable a sum of so many squared deviations is, if their spread is as claimed.

    Two-sided: too even is as suspicious as too uneven. 1 at the median.

    Args:
        value: Σ (count − expected)² / variance, about χ² with `degrees` degrees of freedom.
    """
    return min(1.0, 2.0 * float(min(chi2.cdf(value, degrees), chi2.sf(value, degrees))))

"""A few candidates that together do well on any data: a portfolio, chosen greedily.

The regret of a candidate on a data set is what it scores less than the best candidate there. The
portfolio adds, one after the other, the candidate that lowers the mean over the data sets of the
smallest regret so far the most. That mean is submodular, so a greedy portfolio of any length
reaches at least 63 % of what the best one of that length gains (Nemhauser, Wolsey & Fisher 1978;
Feurer et al. 2022, arXiv:2007.04074, for automated learning).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from qstore_ray.types import FloatArray, IntArray


def regrets(scores: FloatArray) -> FloatArray:
    """What each candidate scores less than the best one, (D, C) of scores (D, C)."""
    lost: FloatArray = scores.max(axis=1, keepdims=True) - scores
    return lost


def greedy_portfolio(
    scores: FloatArray, length: int, families: IntArray | None = None
) -> tuple[int, ...]:
    """Candidates by number, in the order in which to try them.

    Args:
        scores: (D, C). length: how many, at most C.
        families: the family of each data set (D,); each family then counts equally, however many
            variants of it there are.
    """
    lost = regrets(scores)
    weight = family_weights(families, len(scores))
    best = np.full(len(scores), np.inf)
    chosen: list[int] = []
    for _ in range(min(length, scores.shape[1])):
        means = weight @ np.minimum(best[:, None], lost)
        means[chosen] = np.inf
        chosen.append(int(means.argmin()))
        best = np.minimum(best, lost[:, chosen[-1]])
    return tuple(chosen)


def family_weights(families: IntArray | None, count: int) -> FloatArray:
    """Weights (D,) that sum to 1, and to the same for each family."""
    if families is None:
        return np.full(count, 1.0 / count)
    _, number, sizes = np.unique(families, return_inverse=True, return_counts=True)
    shares: FloatArray = 1.0 / (sizes[number] * len(sizes))
    return shares

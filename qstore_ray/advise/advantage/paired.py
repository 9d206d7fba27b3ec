"""The difference of two models over the same folds, and how sure it is.

The folds of a cross-validation share training rows, so their differences d_1 … d_J are not
independent, and Student's t test finds what is not there. Nadeau & Bengio (Machine Learning 52, 239
(2003)) correct its variance:

    t = d̄ / √((1/J + n_test / n_train) s²),    J − 1 degrees of freedom
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from scipy import stats

if TYPE_CHECKING:
    from qstore_ray.types import FloatArray


class PairedDifference(NamedTuple):
    """How much more one model scores than another.

    Attributes:
        mean: d̄. low, high: its interval. p_value: two-sided.
    """

    mean: float
    low: float
    high: float
    p_value: float


def paired_difference(
    one: FloatArray, other: FloatArray, test_share: float, *, confidence: float = 0.95
) -> PairedDifference:
    """The difference of scores (J,) of two models on the same J folds, at least 2.

    Args:
        test_share: n_test / n_train of a fold.
        confidence: of the interval.
    """
    gain = one - other
    count = len(gain)
    mean = float(gain.mean())
    error = math.sqrt((1.0 / count + test_share) * float(gain.var(ddof=1)))
    if error == 0.0:
        return PairedDifference(mean, mean, mean, 1.0 if mean == 0.0 else 0.0)
    half = float(stats.t.ppf(0.5 + confidence / 2.0, count - 1)) * error
    p_value = float(2.0 * stats.t.sf(abs(mean) / error, count - 1))
    return PairedDifference(mean, mean - half, mean + half, min(1.0, p_value))

"""Outliers: rules learnt from train, and applied to any rows.

    detector = OutlierDetector("iqr", 1.5).fit(train)
    detector.mask(test)          which rows
    detector.remove(x, y)        the rows without them
    detector.clip(test)          their values moved to the nearest that is allowed

Three rules give every column an interval of its own:

    iqr             [q1 − t·IQR, q3 + t·IQR]                           Tukey 1977; t = 1.5
    zscore          mean ± t·σ, both moved by the outliers themselves  t = 3
    robust_zscore   median ± t·1.4826·MAD; MAD is the median of        t = 3.5
                    |x − median|, 1.4826 makes it σ for a normal law   (Iglewicz and Hoaglin 1993)

and one looks at whole rows:

    isolation_forest   score 2^(−depth/usual depth) ≥ t in random trees   Liu et al. 2008; t = 0.6

A column whose IQR, σ or MAD is 0 in train has no scale to judge by, and no value of it is an
outlier; `judged` counts the columns that have one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, get_args

import numpy as np

from qstore_ray.data.rows.validate import (
    check_finite,
    check_not_empty,
    check_same_length,
    check_width,
)
from qstore_ray.errors import ConfigError, unknown_name_error

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, FloatArray

Method: TypeAlias = Literal["iqr", "zscore", "robust_zscore", "isolation_forest"]
THRESHOLDS: Final[dict[Method, float]] = {
    "iqr": 1.5,
    "zscore": 3.0,
    "robust_zscore": 3.5,
    "isolation_forest": 0.6,
}
_MAD_TO_SIGMA: Final = 1.4826


@dataclass(frozen=True)
class OutlierDetector:
    """A rule for outliers, not yet fitted.

    Args:
        method: a name of the table above.
        threshold: t; the method's own default if None.
        seed: of the random trees.

    Raises:
        UnknownNameError: no such method.
        ConfigError: a threshold that is not positive, or for the forest not below 1.
    """

    method: Method = "iqr"
    threshold: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.method not in get_args(Method):
            raise unknown_name_error(
                "outlier method", self.method, get_args(Method), field="method"
            )
        highest = 1.0 if self.method == "isolation_forest" else np.inf
        if not 0.0 < self.limit < highest:
            raise ConfigError(
                f"the threshold of {self.method} lies above 0 and below {highest:g}",
                field="threshold",
                value=self.threshold,
                fix=f"The usual one is {THRESHOLDS[self.method]}.",
            )

    @property
    def limit(self) -> float:
        """The threshold in force."""
        return THRESHOLDS[self.method] if self.threshold is None else self.threshold

    def fit(self, x: FloatArray) -> Fences | Forest:
        """The rule learnt from the training rows `x` (N, F).

        For the intervals NaN and infinity are left out of their column; the forest refuses them.

        Raises:
            DataError: no rows, or a NaN or infinity in front of the forest.
        """
        check_not_empty(len(x), "what the outlier rule is fitted on")
        if self.method == "isolation_forest":
            return _grown(x, self.limit, self.seed)
        bounds = np.asarray([_interval(x[:, j], self) for j in range(x.shape[1])])
        return Fences(self.method, bounds[:, 0], bounds[:, 1])


@dataclass(frozen=True)
class Fences:
    """An interval a column, low (F,) to high (F,); infinite for a column without a scale."""

    method: Method
    low: FloatArray
    high: FloatArray

    @property
    def judged(self) -> int:
        """Columns that have a scale to judge by."""
        return int(np.isfinite(self.low).sum())

    def values(self, x: FloatArray) -> AnyArray:
        """Which values of `x` (N, F) lie outside their interval, (N, F); NaN does not."""
        check_width(x, len(self.low))
        outside: AnyArray = (x < self.low) | (x > self.high)
        return outside

    def mask(self, x: FloatArray) -> AnyArray:
        """Which rows of `x` (N, F) have a value outside its interval, (N,).

        Raises:
            DataError: another width than that of train.
        """
        rows: AnyArray = np.any(self.values(x), axis=1)
        return rows

    def remove(self, x: FloatArray, y: AnyArray) -> tuple[FloatArray, AnyArray, AnyArray]:
        """Rows and labels without the outliers, and which of the N rows were kept (N,).

        Raises:
            DataError: another width than that of train, or not one label a row.
        """
        return _kept(x, y, self.mask(x))

    def clip(self, x: FloatArray) -> FloatArray:
        """`x` (N, F) with every outlying value moved to the nearest end of its interval.

        Raises:
            DataError: another width than that of train.
        """
        check_width(x, len(self.low))
        return np.clip(x, self.low, self.high)


@dataclass(frozen=True)
class Forest:
    """A forest of random trees, and the score from which a row is an outlier."""

    n_features: int
    limit: float
    trees: Any = field(repr=False)
    method: Method = "isolation_forest"

    @property
    def judged(self) -> int:
        """Columns that have a scale to judge by: all of them."""
        return self.n_features

    def scores(self, x: FloatArray) -> FloatArray:
        """Anomaly score of each row of `x` (N, F), above 0 and up to 1; 0.5 is ordinary: (N,).

        Raises:
            DataError: another width than that of train, or a NaN or infinity.
        """
        check_width(x, self.n_features)
        check_finite(x)
        if len(x) == 0:
            return np.zeros(0)
        scores: FloatArray = -self.trees.score_samples(_within_float32(x))
        return scores

    def mask(self, x: FloatArray) -> AnyArray:
        """Which rows of `x` (N, F) score as high as the limit, (N,).

        Raises:
            DataError: as for `scores`.
        """
        rows: AnyArray = self.scores(x) >= self.limit
        return rows

    def remove(self, x: FloatArray, y: AnyArray) -> tuple[FloatArray, AnyArray, AnyArray]:
        """Rows and labels without the outliers, and which of the N rows were kept (N,).

        Raises:
            DataError: as for `scores`, or not one label a row.
        """
        return _kept(x, y, self.mask(x))

    def clip(self, x: FloatArray) -> FloatArray:
        """Always raises: a score has no nearest row that is allowed.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(
            "an isolation forest judges whole rows and cannot clip values",
            field="method",
            value=self.method,
            fix="Use iqr, zscore or robust_zscore, or remove the rows.",
        )


def _kept(x: FloatArray, y: AnyArray, outliers: AnyArray) -> tuple[FloatArray, AnyArray, AnyArray]:
    check_same_length(x, y)
    return x[~outliers], y[~outliers], ~outliers


def _interval(column: FloatArray, detector: OutlierDetector) -> tuple[float, float]:
    """The interval that the rule gives to a column (N,) of train."""
    known = column[np.isfinite(column)]
    if not len(known):
        return -np.inf, np.inf
    with np.errstate(over="ignore", invalid="ignore"):
        if detector.method == "iqr":
            low, high = np.quantile(known, (0.25, 0.75))
            scale = high - low
        elif detector.method == "zscore":
            low = high = known.mean()
            scale = 0.0 if known.min() == known.max() else known.std()
        else:
            low = high = np.median(known)
            scale = _MAD_TO_SIGMA * np.median(np.abs(known - low))
        reach = detector.limit * scale
        ends = float(low - reach), float(high + reach)
    if scale == 0.0 or not np.isfinite(ends).all():
        return -np.inf, np.inf
    return ends


def _grown(x: FloatArray, limit: float, seed: int) -> Forest:
    from sklearn.ensemble import IsolationForest

    check_finite(x)
    trees = IsolationForest(random_state=seed).fit(_within_float32(x))
    return Forest(x.shape[1], limit, trees)


def _within_float32(x: FloatArray) -> FloatArray:
    """`x` inside the range of the float32 that the trees compute in; order is kept."""
    largest = float(np.finfo(np.float32).max) / 4
    return np.clip(x, -largest, largest)

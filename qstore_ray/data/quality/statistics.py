"""Descriptive statistics of features and labels, as plain numbers that can be written to JSON.

A statistic that does not exist (the skewness of a constant, the mean of nothing, a variance that
overflows) is None, never NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, FloatArray

QUANTILES: Final = (0.05, 0.25, 0.5, 0.75, 0.95)
_MOST_COMPONENTS: Final = 64


@dataclass(frozen=True)
class ColumnStatistics:
    """One column in numbers; everything but `count` and `missing` is of its finite values.

    Args:
        name: what the column is called.
        count: rows.
        missing: values that are NaN or infinite.
        distinct: number of different values.
        mean: their mean.
        std: population standard deviation.
        skewness: third standardised moment (Fisher–Pearson), 0 for a symmetric column.
        minimum: the smallest.
        quantiles: at 5, 25, 50, 75 and 95 %.
        maximum: the largest.
    """

    name: str
    count: int
    missing: int
    distinct: int
    mean: float | None
    std: float | None
    skewness: float | None
    minimum: float | None
    quantiles: tuple[float | None, ...]
    maximum: float | None


@dataclass(frozen=True)
class ColumnPair:
    """Two columns and their correlations."""

    first: str
    second: str
    pearson: float | None
    spearman: float | None


@dataclass(frozen=True)
class Correlations:
    """How columns go together, over the rows without a missing value.

    Args:
        n_rows: how many rows that are.
        pairs: the strongest pairs with |r| above the limit, by either coefficient.
        n_strong: how many pairs are above it in all.
        columns: names of the columns of the matrix.
        pearson: their coefficients, row by row; None where a column is constant.
    """

    n_rows: int
    pairs: tuple[ColumnPair, ...]
    n_strong: int
    columns: tuple[str, ...]
    pearson: tuple[tuple[float | None, ...], ...]


@dataclass(frozen=True)
class Spectrum:
    """Principal components of the centred columns.

    Args:
        shares: of the variance, by component, largest first, at most 64.
        needed: components for 90, 95 and 99 % of the variance.
    """

    shares: tuple[float, ...]
    needed: tuple[int, ...]


def number(value: float) -> float | None:
    """`value`, or None where it is NaN or infinite."""
    return float(value) if np.isfinite(value) else None


def column_statistics(values: FloatArray, name: str) -> ColumnStatistics:
    """The statistics of one column (N,)."""
    known = values[np.isfinite(values)]
    missing = len(values) - len(known)
    if not len(known):
        none = (None,) * len(QUANTILES)
        return ColumnStatistics(name, len(values), missing, 0, None, None, None, None, none, None)
    low, high = float(known.min()), float(known.max())
    with np.errstate(over="ignore", invalid="ignore"):
        mean, std = known.mean(), (0.0 if low == high else known.std())
        skewness = (((known - mean) / std) ** 3).mean() if std > 0.0 else np.nan
        quantiles = np.quantile(known, QUANTILES)
    return ColumnStatistics(
        name=name,
        count=len(values),
        missing=missing,
        distinct=len(np.unique(known)),
        mean=number(mean),
        std=number(std),
        skewness=number(skewness),
        minimum=low,
        quantiles=tuple(number(q) for q in quantiles),
        maximum=high,
    )


def correlations(
    x: FloatArray,
    names: Sequence[str],
    *,
    limit: float = 0.9,
    most: int = 10,
    shown: Sequence[int] | None = None,
) -> Correlations:
    """Pearson and Spearman coefficients of the columns of `x` (N, F).

    Args:
        x: the features.
        names: of the F columns.
        limit: a pair is strong where |r| exceeds it.
        most: how many of the strong pairs are listed.
        shown: columns of the matrix; all of them if None.
    """
    from scipy.stats import rankdata

    whole = x[np.isfinite(x).all(axis=1)]
    pearson = pearson_matrix(whole)
    spearman = pearson_matrix(rankdata(whole, axis=0)) if len(whole) else pearson
    rows, columns = np.triu_indices(x.shape[1], k=1)
    strength = np.nan_to_num(np.fmax(np.abs(pearson), np.abs(spearman))[rows, columns])
    strong = np.flatnonzero(strength > limit)
    strong = strong[np.argsort(-strength[strong], kind="stable")]
    pairs = [
        ColumnPair(names[i], names[j], number(pearson[i, j]), number(spearman[i, j]))
        for i, j in zip(rows[strong[:most]], columns[strong[:most]], strict=True)
    ]
    kept = list(range(x.shape[1])) if shown is None else list(shown)
    return Correlations(
        n_rows=len(whole),
        pairs=tuple(pairs),
        n_strong=len(strong),
        columns=tuple(names[j] for j in kept),
        pearson=tuple(tuple(number(r) for r in row) for row in pearson[np.ix_(kept, kept)]),
    )


def pearson_matrix(x: FloatArray) -> FloatArray:
    """Coefficients (F, F) of the finite columns of `x` (N, F); NaN where one is constant.

    Columns are divided by their largest magnitude first, so that no square overflows.
    """
    n_features = x.shape[1]
    if len(x) < 2:
        return np.full((n_features, n_features), np.nan)
    scaled = _scaled(x)
    scaled -= scaled.mean(axis=0)
    lengths = np.where(x.min(axis=0) == x.max(axis=0), np.nan, np.linalg.norm(scaled, axis=0))
    with np.errstate(invalid="ignore", divide="ignore"):
        unit = scaled / np.where(lengths > 0.0, lengths, np.nan)
        return np.clip(unit.T @ unit, -1.0, 1.0)


def spectrum(x: FloatArray) -> Spectrum:
    """Shares of the variance of `x` (N, F) along its principal components (Pearson 1901).

    Rows with a missing value are left out; without variance there are no components.
    """
    whole = x[np.isfinite(x).all(axis=1)]
    largest = np.abs(whole).max(initial=0.0)
    if len(whole) < 2 or not largest > 0.0 or (whole.min(axis=0) == whole.max(axis=0)).all():
        return Spectrum((), ())
    centred = whole / largest
    centred -= centred.mean(axis=0)
    variances = np.linalg.svd(np.linalg.qr(centred, mode="r"), compute_uv=False) ** 2
    if not variances.sum() > 0.0:
        return Spectrum((), ())
    shares = variances / variances.sum()
    reached = np.cumsum(shares)
    needed = tuple(
        min(int(np.searchsorted(reached, part - 1e-12)) + 1, len(shares))
        for part in (0.9, 0.95, 0.99)
    )
    return Spectrum(tuple(shares[:_MOST_COMPONENTS].tolist()), needed)


def telling(x: FloatArray, y: AnyArray, *, regression: bool = False) -> FloatArray:
    """How much of each column's variance its label explains, 0 … 1: (F,).

    Between-class over total variance (η²), or for a regression the squared correlation. Rows with
    a missing value are left out; 0 where a column is constant.
    """
    kept = np.isfinite(x).all(axis=1)
    if not kept.any():
        return np.zeros(x.shape[1])
    whole, labels = _scaled(x[kept]), y[kept]
    if regression:
        both = np.column_stack([whole, labels.astype(np.float64)])
        return np.nan_to_num(pearson_matrix(both)[-1, :-1] ** 2)
    centred = whole - whole.mean(axis=0)
    total = (centred**2).sum(axis=0)
    between = np.zeros(x.shape[1])
    for k in np.unique(labels):
        rows = centred[labels == k]
        between += len(rows) * rows.mean(axis=0) ** 2
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(total > 0.0, np.clip(between / total, 0.0, 1.0), 0.0)


def _scaled(x: FloatArray) -> FloatArray:
    """A copy of `x` (N, F), each column divided by its largest magnitude."""
    largest = np.abs(x).max(axis=0, initial=0.0)
    return x / np.where(largest > 0.0, largest, 1.0)

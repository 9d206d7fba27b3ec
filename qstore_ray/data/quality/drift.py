"""Drift: whether a column of another split is distributed as it is in train.

Two measures a column. The Kolmogorov–Smirnov statistic is the largest distance between the two
distribution functions; the p-values of all columns are judged together by the procedure of
Benjamini and Hochberg (1995), which bounds the share of false alarms among the columns reported.
The population stability index, PSI = Σ (p_b − q_b) ln(p_b / q_b) over the deciles b of train, says
how large the change is: below 0.1 small, above 0.2 large. In small splits it is large by chance
alone: NM/(N+M) · PSI is then chi-squared with bins − 1 degrees of freedom (Yurdakul and Naranjo
2020, J. Risk Model Validation 14(4)), so it counts only where it is also significant.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from qstore_ray.data.quality.finding import NOWHERE, Finding, RowOrigin, each_column

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, FloatArray

FEWEST_ROWS: Final = 10  # the asymptotic distribution of the statistic is useless below
_BINS: Final = 10
_LARGE_KS: Final = 0.1


@dataclass(frozen=True)
class ColumnDrift:
    """How far a column of a split is from train.

    Args:
        column: position of the column.
        ks: Kolmogorov–Smirnov statistic, 0 … 1.
        p_value: probability of a statistic as large without drift.
        psi: population stability index over the deciles of train.
        differs: significant after Benjamini–Hochberg over all columns, by `ks` or `psi`.
    """

    column: int
    ks: float
    p_value: float
    psi: float
    differs: bool


def measure_drift(
    train: FloatArray, x: FloatArray, *, false_drift: float = 0.05, max_psi: float = 0.2
) -> tuple[ColumnDrift, ...]:
    """Drift of each column of `x` (M, F) from `train` (N, F), NaN and infinity left out.

    A column of fewer than 10 values in either is left out.
    """
    from scipy.stats import chi2, ks_2samp

    columns, measured = [], []
    for j in range(train.shape[1]):
        a, b = (part[np.isfinite(part[:, j]), j] for part in (train, x))
        if min(len(a), len(b)) < FEWEST_ROWS:
            continue
        test = ks_2samp(a, b, method="asymp")
        index, bins = stability_index(a, b)
        scaled = index * len(a) * len(b) / (len(a) + len(b))
        by_chance = float(chi2.sf(scaled, bins - 1)) if bins > 1 else 1.0
        columns.append(j)
        measured.append((float(test.statistic), float(test.pvalue), index, by_chance))
    if not columns:
        return ()
    table = np.asarray(measured)
    each = false_drift / 2  # the two measures share the rate of false alarms
    moved = benjamini_hochberg(table[:, 1], each)
    shifted = benjamini_hochberg(table[:, 3], each) & (table[:, 2] >= max_psi)
    return tuple(
        ColumnDrift(j, ks, p_value, psi, bool(differs))
        for j, (ks, p_value, psi, _), differs in zip(
            columns, measured, moved | shifted, strict=True
        )
    )


def find_drift(
    train: FloatArray,
    x: FloatArray,
    *,
    false_drift: float = 0.05,
    max_psi: float = 0.2,
    origin: RowOrigin = NOWHERE,
) -> list[Finding]:
    """A finding for each column of `x` (M, F) that differs from `train` (N, F).

    A warning where the change is large (PSI from `max_psi`, or a statistic from 0.1), else an info.
    """
    measured = measure_drift(train, x, false_drift=false_drift, max_psi=max_psi)
    if not measured:
        message = f"fewer than {FEWEST_ROWS} rows to compare{origin.inside}; drift was not measured"
        return [Finding("drift", "info", message, field="x", value=len(x))]
    return drift_findings(measured, max_psi=max_psi, origin=origin)


def drift_findings(
    measured: tuple[ColumnDrift, ...], *, max_psi: float = 0.2, origin: RowOrigin = NOWHERE
) -> list[Finding]:
    """The findings of `find_drift` from what was measured, the largest change first."""
    moved = {drift.column: drift for drift in measured if drift.differs}

    def finding(column: int) -> Finding:
        drift = moved[column]
        large = drift.psi >= max_psi or drift.ks >= _LARGE_KS
        return Finding(
            "drift",
            "warning" if large else "info",
            f"distributed{origin.inside} unlike in train: Kolmogorov-Smirnov {drift.ks:.3f} "
            f"(p = {drift.p_value:.2g}), PSI {drift.psi:.3f}",
            field=origin.column(column),
            value=drift.ks,
            fix="Check how the splits were made; scores on this split may not carry over.",
        )

    return each_column(sorted(moved, key=lambda j: -moved[j].ks), finding, origin)


def stability_index(a: FloatArray, b: FloatArray) -> tuple[float, int]:
    """PSI of `b` (M,) against `a` (N,), and how many bins it was summed over.

    The bins are cut at the deciles of `a`, equal ones once; half a row is added to every bin, so
    that an empty one has a logarithm.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        edges = np.unique(np.quantile(a, np.arange(1, _BINS) / _BINS, method="inverted_cdf"))
    counts = [
        np.bincount(np.searchsorted(edges, part), minlength=len(edges) + 1) for part in (a, b)
    ]
    filled = counts[0] + counts[1] > 0
    p, q = ((count[filled] + 0.5) / (count.sum() + 0.5 * filled.sum()) for count in counts)
    return float(((p - q) * np.log(p / q)).sum()), int(filled.sum())


def benjamini_hochberg(p_values: FloatArray, share: float) -> AnyArray:
    """Which of the p-values (F,) are rejected when at most `share` of the rejections are false.

    The k smallest, for the largest k with p_(k) ≤ share · k / F. Benjamini and Hochberg,
    J. R. Statist. Soc. B 57, 289 (1995).
    """
    order = np.argsort(p_values, kind="stable")
    below = p_values[order] <= share * np.arange(1, len(p_values) + 1) / len(p_values)
    rejected: AnyArray = np.zeros(len(p_values), dtype=bool)
    if below.any():
        rejected[order[: int(np.flatnonzero(below)[-1]) + 1]] = True
    return rejected

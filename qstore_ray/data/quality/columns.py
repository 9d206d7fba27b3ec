"""Checks of single columns: width, NaN and infinity, allowed range, columns that do not vary.

N rows, F columns. Every function takes float64 features (N, F) and says where they are from by an
`RowOrigin`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from qstore_ray.data.quality.finding import NOWHERE, Finding, RowOrigin, each_column
from qstore_ray.errors import ConfigError

if TYPE_CHECKING:
    from qstore_ray.data.quality.config import Bound
    from qstore_ray.types import AnyArray, FloatArray


def find_bad_shape(
    x: AnyArray, y: AnyArray, n_features: int | None = None, origin: RowOrigin = NOWHERE
) -> list[Finding]:
    """Errors where `x` is not (N, F) with N, F ≥ 1, or `y` not (N,), or F not `n_features`."""
    here, found = origin.inside, []
    if x.ndim != 2:
        fix = "Use x.reshape(len(x), -1)."
        return [
            Finding("shape", "error", f"features{here} are not (N, F)", "x", str(x.shape), fix=fix)
        ]
    if 0 in x.shape:
        what = "rows" if len(x) == 0 else "features"
        fix = "Check the source's parameters and the split."
        found.append(Finding("shape", "error", f"0 {what}{here}", "x", 0, fix=fix))
    if y.shape != x.shape[:1]:
        message = f"{len(x)} rows but labels of shape {y.shape}{here}"
        found.append(Finding("shape", "error", message, "y", fix="Give one label a row."))
    if n_features is not None and x.shape[1] != n_features:
        message = f"rows{here} have {x.shape[1]} features, {n_features} are expected"
        fix = "Give every split the same columns."
        found.append(Finding("shape", "error", message, "x", x.shape[1], fix=fix))
    return found


def find_bad_values(x: FloatArray, origin: RowOrigin = NOWHERE) -> list[Finding]:
    """An error for each column with NaN or infinity: how many, and the first rows."""
    bad = ~np.isfinite(x)

    def finding(column: int) -> Finding:
        positions = np.flatnonzero(bad[:, column])
        n_nan = int(np.isnan(x[:, column]).sum())
        parts = [
            f"{count} {kind}"
            for count, kind in ((n_nan, "NaN"), (len(positions) - n_nan, "infinite"))
            if count
        ]
        return Finding(
            "finite",
            "error",
            f"{' and '.join(parts)} of {len(x)} values{origin.inside}, "
            f"first in row {origin.row(positions[0])}",
            field=origin.column(column),
            value=len(positions),
            rows=origin.first(positions),
            fix="Drop such rows, or fill the values from train.",
        )

    return each_column(np.flatnonzero(bad.any(axis=0)), finding, origin)


def find_out_of_range(
    x: FloatArray,
    low: Bound | None = None,
    high: Bound | None = None,
    origin: RowOrigin = NOWHERE,
) -> list[Finding]:
    """An error for each column with a value below `low` or above `high`; NaN is not compared.

    Raises:
        ConfigError: neither one bound for all columns nor one a column.
    """
    lows, highs = (_bounds(low, -np.inf, x, "low"), _bounds(high, np.inf, x, "high"))
    outside = (x < lows) | (x > highs)

    def finding(column: int) -> Finding:
        positions = np.flatnonzero(outside[:, column])
        met = x[positions, column]
        far = met[np.argmax(np.maximum(lows[column] - met, met - highs[column]))]
        return Finding(
            "range",
            "error",
            f"{len(positions)} of {len(x)} values{origin.inside} are outside "
            f"[{lows[column]:g}, {highs[column]:g}]",
            field=origin.column(column),
            value=float(far) if np.isfinite(far) else str(far),
            rows=origin.first(positions),
            fix="Check the unit of the column, or widen low and high.",
        )

    return each_column(np.flatnonzero(outside.any(axis=0)), finding, origin)


def _bounds(bound: Bound | None, absent: float, x: FloatArray, field: str) -> FloatArray:
    values = np.asarray(absent if bound is None else bound, dtype=np.float64)
    if values.shape not in {(), (x.shape[1],)}:
        raise ConfigError(
            f"{values.size} bounds for {x.shape[1]} columns",
            field=field,
            fix="Give one number for all columns, or one a column.",
        )
    return np.broadcast_to(values, (x.shape[1],))


def find_constant(
    x: FloatArray, near_constant: float = 0.99, origin: RowOrigin = NOWHERE
) -> list[Finding]:
    """A warning for each column with one value only, an info where one value fills `near_constant`.

    Rows that are NaN or infinite in a column are left out of it; a column of fewer than two
    values says nothing.
    """
    shares = [_commonest(x[np.isfinite(x[:, j]), j]) for j in range(x.shape[1])]
    constant = [j for j, (share, _) in enumerate(shares) if share == 1.0]
    nearly = [j for j, (share, _) in enumerate(shares) if near_constant <= share < 1.0]

    def always(column: int) -> Finding:
        return Finding(
            "constant",
            "warning",
            f"the column has one value only{origin.inside}",
            field=origin.column(column),
            value=shares[column][1],
            fix="Drop the column; it cannot distinguish rows.",
        )

    def mostly(column: int) -> Finding:
        share, value = shares[column]
        return Finding(
            "constant",
            "info",
            f"{share:.2%} of the values{origin.inside} are {value:g}",
            field=origin.column(column),
            value=share,
            fix="Consider dropping the column.",
        )

    return each_column(constant, always, origin) + each_column(nearly, mostly, origin)


def _commonest(values: FloatArray) -> tuple[float, float]:
    """Share and value of the commonest of the values (N,); share 0 if the values are too few."""
    if len(values) < 2:
        return 0.0, 0.0
    found, counts = np.unique(values, return_counts=True)
    most = int(np.argmax(counts))
    return float(counts[most] / len(values)), float(found[most])

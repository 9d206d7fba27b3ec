"""Summaries of blocks of rows that can be joined: counts, moments, ranges, distinct values.

Letters: B rows of a block, F features. Moments are joined as Chan, Golub and LeVeque (1983) do,
which loses no digits where a mean is large against its spread.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from qstore_ray.errors import DataError

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, FloatArray

Summary: TypeAlias = "Mapping[str, AnyArray]"
MOST_VALUES = 2**16
"""Distinct values of a column that are counted at most."""


def columns_of(x: FloatArray) -> dict[str, AnyArray]:
    """Of rows (B, F): their number, and the mean, squares around it, and range of each column."""
    low, high = x.min(axis=0), x.max(axis=0)
    mean = np.where(low == high, low, x.mean(axis=0))
    centred = x - mean
    squares = np.einsum("nf,nf->f", centred, centred)
    return {
        "n_rows": np.float64(len(x)), "mean": mean, "squares": squares, "low": low, "high": high,
    }  # fmt: skip


def columns_joined(first: Summary, second: Summary) -> dict[str, AnyArray]:
    """The same of both blocks together."""
    n_rows, mean, between = _means_joined(first, second)
    return {
        "n_rows": n_rows,
        "mean": mean,
        "squares": first["squares"] + second["squares"] + between**2,
        "low": np.minimum(first["low"], second["low"]),
        "high": np.maximum(first["high"], second["high"]),
    }


def triangle_of(x: FloatArray) -> dict[str, AnyArray]:
    """Of rows (B, F): number, mean, and R (·, F) of x − mean = QR, which has its directions."""
    mean = np.where((x == x[:1]).all(axis=0), x[0], x.mean(axis=0))
    triangle = np.linalg.qr(x - mean, mode="r")
    return {"n_rows": np.float64(len(x)), "mean": mean, "triangle": triangle}


def triangle_joined(first: Summary, second: Summary) -> dict[str, AnyArray]:
    """The same of both blocks together; no product is squared, so small variances stay exact."""
    n_rows, mean, between = _means_joined(first, second)
    stacked = np.vstack([first["triangle"], second["triangle"], between])
    return {"n_rows": n_rows, "mean": mean, "triangle": np.linalg.qr(stacked, mode="r")}


def _means_joined(first: Summary, second: Summary) -> tuple[Any, FloatArray, FloatArray]:
    """Rows and mean of both, and what their squares have beside the sum: the row `between` (F,)."""
    n_rows = first["n_rows"] + second["n_rows"]
    step = second["mean"] - first["mean"]
    mean: FloatArray = first["mean"] + step * (second["n_rows"] / n_rows)
    between: FloatArray = step * np.sqrt(first["n_rows"] * second["n_rows"] / n_rows)
    return n_rows, mean, between


def values_joined(first: Summary, second: Summary) -> dict[str, AnyArray]:
    """The distinct values of each column of both blocks, ascending."""
    joined = {name: np.union1d(values, second[name]) for name, values in first.items()}
    for name, values in joined.items():
        _check_few(len(values), name)
    return joined


def counts_of(x: FloatArray, places: Sequence[int]) -> dict[str, AnyArray]:
    """Of rows (B, F) with gaps: known values and their sum in each column; of `places` each value.

    A value and how often it occurs are `value.<place>` and `count.<place>`.
    """
    gaps = np.isnan(x)
    found: dict[str, AnyArray] = {
        "known": (~gaps).sum(axis=0),
        "sum": np.where(gaps, 0.0, x).sum(axis=0),
    }
    for place in places:
        values, counts = np.unique(x[~gaps[:, place], place], return_counts=True)
        _check_few(len(values), str(place))
        found |= {f"value.{place}": values, f"count.{place}": counts}
    return found


def counts_joined(first: Summary, second: Summary) -> dict[str, AnyArray]:
    """The same of both blocks together."""
    joined: dict[str, AnyArray] = {name: first[name] + second[name] for name in ("known", "sum")}
    for name in [name for name in first if name.startswith("value.")]:
        place = name.removeprefix("value.")
        values, where = np.unique(np.concatenate([first[name], second[name]]), return_inverse=True)
        _check_few(len(values), place)
        both = np.concatenate([first[f"count.{place}"], second[f"count.{place}"]])
        counts = np.zeros(len(values), np.int64)
        np.add.at(counts, where, both)
        joined |= {name: values, f"count.{place}": counts}
    return joined


def fill_of(found: Summary, value: float | None) -> FloatArray:
    """What gaps of each column (F,) are filled with: its mean, or `value`."""
    if value is not None:
        return np.full(len(found["sum"]), value)
    return np.asarray(found["sum"] / np.maximum(found["known"], 1), np.float64)


def most_frequent(found: Summary, place: int) -> float:
    """The most frequent value of a column; of equals the smallest."""
    return float(found[f"value.{place}"][np.argmax(found[f"count.{place}"])])


def _check_few(count: int, column: str) -> None:
    if count > MOST_VALUES:
        raise DataError(
            f"column {column} has more than {MOST_VALUES:,} distinct values",
            field="preprocessing",
            fix="Leave the column out, or set dataset.stream = false.",
        )

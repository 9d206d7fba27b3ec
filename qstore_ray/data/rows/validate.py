"""Checks of data, each raising a `DataError` that says where the fault is.

Every check runs where rows enter: when a dataset is loaded, and when a user hands over rows to
predict on. Behind these, arrays are trusted to be finite float64 of the right width.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from qstore_ray.circuits.circuit import all_finite
from qstore_ray.errors import DataError

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, FloatArray, IntArray


class BadValue(NamedTuple):
    """The first value of a block that is NaN or infinite."""

    position: int
    column: int
    value: float


def as_array(values: Any, field: str) -> AnyArray:
    """`values` as an array that has rows.

    Raises:
        DataError: rows of different lengths, or a single value.
    """
    if isinstance(values, np.ma.MaskedArray) and values.dtype.kind in "biuf":
        values = np.ma.filled(values.astype(np.float64), np.nan)  # what is masked is missing
    try:
        array = np.asarray(values)
    except ValueError as exc:
        raise DataError(
            "the rows have different lengths", field=field, fix="Give every row the same width."
        ) from exc
    if array.ndim == 0 and hasattr(values, "toarray"):
        raise DataError(
            "a sparse matrix, and an array of rows is needed",
            field=field,
            value=type(values).__name__,
            fix="Give the array that its method toarray() returns.",
        )
    if array.ndim == 0:
        raise DataError("an array of rows is needed", field=field, value=values, fix=_of(values))
    return array


def _of(values: Any) -> str:
    """What to give instead of a single value."""
    if not isinstance(values, str | PurePath):
        return ""
    return (
        'Give the values themselves: x["name"] for a column, and '
        'DatasetConfig(source="local", params={"path": …}) for a file.'
    )


def as_features(values: Any, *, field: str = "x") -> FloatArray:
    """`values` (N, …) as float64 (N, F), images flattened row by row.

    Raises:
        DataError: ragged rows, no features, or something other than real numbers.
    """
    array = as_array(values, field)
    if array.dtype.kind not in "biuf":
        raise DataError(
            f"features must be real numbers, these are of type {array.dtype}",
            field=field,
            fix="Rows of different lengths and text both end up here; give numbers of one width.",
        )
    if array.ndim == 1:
        raise DataError(
            "features have two dimensions, rows and columns",
            field=field,
            value=array.shape,
            fix="Use x.reshape(1, -1) for one row, x.reshape(-1, 1) for one feature.",
        )
    if 0 in array.shape[1:]:
        raise DataError("0 features", field=field, value=array.shape)
    width = int(np.prod(array.shape[1:]))
    return np.ascontiguousarray(array.reshape(len(array), width), dtype=np.float64)


def bad_values(x: FloatArray, *, nan_allowed: bool = False) -> AnyArray | None:
    """Which values of `x` (N, F) are infinite, or NaN where it is not allowed; None if none is."""
    with np.errstate(over="ignore", invalid="ignore"):
        if all_finite(x):
            return None
    bad = np.isinf(x) if nan_allowed else ~np.isfinite(x)
    return bad if bad.any() else None


def first_bad_value(x: FloatArray) -> BadValue | None:
    """The first of the `bad_values` of `x` (N, F), row by row; None if all values are good."""
    bad = bad_values(x)
    return None if bad is None else marked_rows(x, bad)[0]


def marked_rows(x: FloatArray, bad: AnyArray, start: int = 0) -> list[BadValue]:
    """The first value that `bad` (N, F) marks in each row of `x` (N, F) that has one.

    Args:
        start: the position of the first row.
    """
    rows = np.flatnonzero(bad.any(axis=1))
    columns = bad[rows].argmax(axis=1)
    found = zip((rows + start).tolist(), columns.tolist(), x[rows, columns].tolist(), strict=True)
    return [BadValue(*value) for value in found]


def bad_value_error(
    bad: BadValue, *, row: int, split: str = "", names: Sequence[str] | None = None
) -> DataError:
    """The error for a NaN or infinity, naming split, column and row."""
    missing = bool(np.isnan(bad.value))
    kind = "NaN" if missing else "an infinite value"
    fill = ', or make {"name": "impute"} the first step of preprocessing' if missing else ""
    named = "" if names is None else f" ({names[bad.column]!r})".replace("{row}", "row")
    where = f"split {split!r}, " if split else ""
    return DataError(
        f"{kind} in {where}column {bad.column}{named}, first in row {{row}}",
        row=row,
        field="x",
        fix=f'Set bad_values = "drop" to leave such rows out{fill}.',
    )


def check_finite(
    x: FloatArray,
    *,
    split: str = "",
    rows: IntArray | None = None,
    names: Sequence[str] | None = None,
) -> None:
    """Raise `DataError` where `x` (N, F) has a NaN or infinity; `rows` are its row numbers."""
    bad = first_bad_value(x)
    if bad is not None:
        row = bad.position if rows is None else int(rows[bad.position])
        raise bad_value_error(bad, row=row, split=split, names=names)


def check_width(x: FloatArray, expected: int, *, field: str = "x") -> None:
    """Raise `DataError` unless `x` (N, F) has F = `expected`."""
    if x.shape[1] != expected:
        raise DataError(
            f"rows have {x.shape[1]} features, {expected} are expected",
            field=field,
            value=x.shape[1],
            fix=f"Give {expected} numbers a row, in the order of the features in the training.",
        )


def check_same_length(x: AnyArray, y: AnyArray, *, field: str = "y") -> None:
    """Raise `DataError` unless there is one label a row."""
    if len(x) != len(y):
        what = {"weight": "weights", "group": "groups"}.get(field, "labels")
        raise DataError(f"{len(x)} rows but {len(y)} {what}", field=field)


def check_not_empty(n_rows: int, what: str) -> None:
    """Raise `DataError` where `what` has 0 rows."""
    if n_rows == 0:
        raise DataError(f"{what} has 0 rows", fix="Check the source's parameters and the split.")


def check_two_classes(classes: Sequence[Any], n_rows: int) -> None:
    """Raise `DataError` unless the labels have at least two classes."""
    if len(classes) < 2:
        raise DataError(
            f"all {n_rows} rows have one class, {classes[0]!r}",
            field="y",
            fix="Classification needs at least two classes.",
        )

"""Tables: which columns are features, which one is the label, and both as arrays.

The label is the column that `columns.label` names, or the one that is called label, labels, target,
class or y. All other columns are features, unless `columns.features` says which. Nothing else is
guessed: where none or several have such a name, the error lists the columns.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa

from qstore_ray.errors import DataError, unknown_name

if TYPE_CHECKING:
    from qstore_ray.data.sources.base import ColumnsConfig
    from qstore_ray.data.sources.local.params import LocalParams
    from qstore_ray.types import AnyArray

LABELS = ("label", "labels", "target", "class", "y")
_EXACT = 2**53
_ROWS_AT_ONCE = 4096
LabelType: TypeAlias = Literal["number", "bool", "text"]
LABEL_TYPES: dict[LabelType, pa.DataType] = {
    "number": pa.float64(),
    "bool": pa.bool_(),
    "text": pa.string(),
}


class Chosen(NamedTuple):
    """Names of the feature columns, of the label column, and of the group column if any."""

    features: tuple[str, ...]
    label: str
    group: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """All of them: features, label, group."""
        return (*self.features, self.label, *([] if self.group is None else [self.group]))


def choose(
    names: Sequence[str], columns: ColumnsConfig | None, params: LocalParams, where: str
) -> Chosen:
    """The feature and label columns among `names`.

    Raises:
        DataError: too many columns, two of one name, or no column that is the label.
        UnknownNameError: a column was asked for that is not there.
    """
    if len(names) > params.max_columns:
        raise DataError(
            f"{len(names):,} columns, {params.max_columns:,} are allowed",
            field=where,
            fix="Raise params.max_columns if this is meant.",
        )
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DataError(
            "columns have the same name", field=where, value=twice, fix="Give each its own name."
        )
    label = _label(names, None if columns is None else columns.label, where)
    wanted = None if columns is None else columns.features
    group = None if columns is None else columns.group
    if group is not None and group not in names:
        raise unknown_name("column", group, names, field="columns.group")
    if group == label:
        raise DataError("the group is also the label", field="columns.group", value=group)
    others = tuple(name for name in names if name not in (label, group))
    features = others if wanted is None else wanted
    for name in features:
        if name not in names:
            raise unknown_name("feature", name, names, field="columns.features")
    if label in features:
        raise DataError(
            "the label is also a feature",
            field="columns.features",
            value=label,
            fix="Leave it out of the features.",
        )
    if not features:
        raise DataError("there is no column beside the label", field=where, value=label)
    return Chosen(features, label, group)


def _label(names: Sequence[str], asked: str | None, where: str) -> str:
    if asked is not None:
        if asked not in names:
            raise unknown_name("column", asked, names, field="columns.label")
        return asked
    found = [name for name in names if name in LABELS]
    if len(found) != 1:
        shown = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
        raise DataError(
            "several columns could be the label"
            if found
            else f"no column is called {', '.join(LABELS[:-1])} or {LABELS[-1]}",
            field=where,
            value=found or None,
            fix=f"Set columns.label to one of: {shown}.",
        )
    return found[0]


def same_columns(names: Sequence[str], first: Sequence[str], where: str, first_file: str) -> None:
    """Raise `DataError` where a file has other columns than the first."""
    if tuple(names) != tuple(first):
        odd = sorted(set(names) ^ set(first)) or "another order"
        raise DataError(
            f"other columns than in {first_file}",
            field=where,
            value=odd,
            fix="Give files of one kind, or choose some of them with a pattern.",
        )


def label_type_of(texts: Sequence[str]) -> LabelType:
    """What labels in text look like: all numbers, all true or false, or else text."""
    if texts and all(text.strip().lower() in ("true", "false") for text in texts):
        return "bool"
    return "number" if texts and all(is_number(text) for text in texts) else "text"


def is_number(text: str) -> bool:
    """Whether `text` is written as a number."""
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text


def matrix(table: pa.Table, features: Sequence[str], dtype: np.dtype[np.generic]) -> AnyArray:
    """The feature columns as (N, F); a missing value is NaN."""
    columns = [_values(table.column(name)) for name in features]
    if any(column.dtype.kind == "f" for column in columns) and dtype.kind != "f":
        dtype = np.dtype(np.float64)  # whole numbers with one missing
    x = np.empty((table.num_rows, len(features)), dtype)
    # Some rows of every column at a time, so that what is written stays in the cache.
    for start in range(0, table.num_rows, _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        for position, column in enumerate(columns):
            x[rows, position] = column[rows]
    return x


def _values(column: pa.ChunkedArray) -> AnyArray:
    values: AnyArray = column.to_numpy()
    if values.dtype.kind == "O":  # bools of which one is missing
        values = column.cast(pa.int8()).to_numpy()
    return values


def rows_of(
    table: pa.Table, chosen: Chosen, dtype: np.dtype[np.generic], where: str
) -> tuple[AnyArray, AnyArray] | tuple[AnyArray, AnyArray, AnyArray]:
    """Features (N, F), labels (N,), and groups (N,) where they are asked for.

    Raises:
        DataError: a label or a group is missing, or a label is too large.
    """
    x = matrix(table, chosen.features, dtype)
    y = label_array(table[chosen.label], f"{where}, column {chosen.label!r}")
    if chosen.group is None:
        return x, y
    at = f"{where}, column {chosen.group!r}"
    return x, y, label_array(table[chosen.group], at, what="group")


def label_array(column: pa.ChunkedArray, where: str, *, what: str = "label") -> AnyArray:
    """The column of labels, or of what else is known of every row, as (N,).

    Raises:
        DataError: a label is missing, or a whole number that float64 does not hold.
    """
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
    values: AnyArray = column.to_numpy()
    if column.null_count:
        missing = np.asarray(column.is_null())
    elif text:
        values = values.astype(str) if len(values) else np.empty(0, "U1")
        missing = values == ""
    else:
        missing = np.isnan(values) if values.dtype.kind == "f" else np.zeros(0, dtype=bool)
    if missing.any():
        raise DataError(
            f"a {what} is missing",
            field=where,
            value=f"position {int(np.argmax(missing))}",
            fix=f"Remove the row, or fill in its {what}.",
        )
    if values.dtype.kind == "f" and (np.abs(values) >= _EXACT).any() and np.isfinite(values).all():
        raise DataError(
            "a label is too large to be told from its neighbours",
            field=where,
            value=float(np.abs(values).max()),
            fix='Set params.label_type = "text".',
        )
    return values

"""Columns of any library as Arrow holds them, and what a column is by its type."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from qstore_ray.data.columns import Column, TableSchema
from qstore_ray.data.tables.rows import Where, is_text, rows_of
from qstore_ray.errors import DataError

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray

_FIX = "Give a column numbers, text, or true and false."


def column_of(values: Any, name: str) -> pa.ChunkedArray:
    """A column of any library as Arrow holds it; NaN of pandas and None are null.

    Raises:
        DataError: values of several kinds, or of none that Arrow knows.
    """
    if isinstance(values, np.ndarray) and values.dtype.kind == "O":
        values = values.tolist()
    try:
        if isinstance(values, pa.ChunkedArray) or not hasattr(values, "__arrow_c_stream__"):
            found = values if isinstance(values, pa.ChunkedArray) else _array(values)
        else:
            found = pa.chunked_array(values)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as exc:
        found = pa.chunked_array([_texts(values, name, exc)])
    kind = found.type
    coded = pa.types.is_dictionary(kind) and not is_text(kind)
    return found.cast(kind.value_type) if coded else found


def column_array(name: Any, values: pa.ChunkedArray) -> Column:
    """What a column is by its type: a number, true or false, or a category of the texts in it.

    Raises:
        DataError: a name that is no text, or a type that is none of these.
    """
    if not isinstance(name, str):
        raise DataError(
            "a column's name is no text",
            field="columns",
            value=name,
            fix="Name it, or give an array.",
        )
    kind = values.type
    if pa.types.is_boolean(kind):
        return Column(name, "boolean")
    if is_text(kind):
        texts = (text.strip() for text in pc.unique(values).to_pylist() if text)
        return Column(name, "category", tuple(sorted({text for text in texts if text})))
    types = pa.types
    number = types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)
    if not (number or types.is_null(kind)):
        raise DataError(
            f"columns of type {kind} are no numbers", field=f"column {name!r}", fix=_FIX
        )
    return Column(name)


def category_numbers(column: Column, numbers: AnyArray) -> None:
    """Raise `DataError` unless the values (N,) are numbers of categories, or NaN."""
    known = np.isin(numbers, np.arange(len(column.categories)))
    wrong = ~known & ~np.isnan(numbers.astype(np.float64))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise DataError(
            "the column is a category, and this is the number of none",
            field=f"row {row}, column {column.name!r}",
            value=numbers[row].item(),
            fix=f"Give its text, or a number from 0 to {len(column.categories) - 1}.",
        )


def labels_of(
    values: pa.ChunkedArray, classes: Sequence[Any], name: str, where: Where, schema: TableSchema
) -> AnyArray:
    """Labels (N,) in the form that the classes have: text, true and false, or numbers.

    Raises:
        DataError: a label that is missing, or is no number, or not true or false, where the
            classes are.
    """
    table = pa.table({name: values})
    plain = replace(schema, features=(), label=name, label_kind="text", group=None)
    if classes and isinstance(classes[0], str):
        rows = rows_of(table, plain, where)
        found, gone = rows["y"], rows.get("unlabelled", np.zeros(0, bool))
    elif classes and not isinstance(classes[0], bool) and pa.types.is_integer(values.type):
        # As integers: floats are not exact from 2^53 on.
        rows = rows_of(table, replace(plain, label_kind="number"), where)
        found, gone = rows["y"], rows.get("unlabelled", np.zeros(0, bool))
    else:
        boolean = bool(classes) and isinstance(classes[0], bool)
        only = (Column(name, "boolean" if boolean else "number"),)
        found = rows_of(table, replace(plain, features=only), where, labelled=False)["x"][:, 0]
        gone = np.isnan(found)
        if boolean:
            _check_boolean(found, gone, name, where)
            found = found.astype(bool)
    if gone.any():
        raise DataError(
            "a label is missing",
            field=f"{where(int(np.argmax(gone)))}, column {name!r}",
            fix="Remove the row, or fill in its label.",
        )
    return found


def _check_boolean(found: AnyArray, gone: AnyArray, name: str, where: Where) -> None:
    """Raise `DataError` where a label (N,) that is not missing is neither 0 nor 1."""
    odd = ~gone & ~np.isin(found, [0.0, 1.0])
    if odd.any():
        row = int(np.argmax(odd))
        raise DataError(
            "a label is neither true nor false, as the classes are",
            field=f"{where(row)}, column {name!r}",
            value=found[row].item(),
            fix="Write true or false, or 1 or 0.",
        )


def _array(values: Any) -> pa.ChunkedArray:
    found = pa.array(values, from_pandas=True)
    return found if isinstance(found, pa.ChunkedArray) else pa.chunked_array([found])


def _texts(values: Any, name: str, reason: Exception) -> pa.Array:
    """A column of numbers and text side by side, each as text; else what Arrow said of it."""
    plain = (str, int, float, bool, np.generic, type(None))
    listed = values.tolist() if hasattr(values, "tolist") else list(values)
    if not all(isinstance(value, plain) for value in listed):
        raise DataError(
            f"the column cannot be read: {reason}", field=f"column {name!r}", fix=_FIX
        ) from reason
    return pa.array([None if v is None or v != v else str(v) for v in listed])  # noqa: PLR0124 - NaN

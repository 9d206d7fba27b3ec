"""Columns of any library as Arrow holds them, and what a column is by its type."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from qstore_ray.data.columns import Column, TableSchema
from qstore_ray.data.rows.labels import unknown_label_error
from qstore_ray.data.tables.rows import Where, is_text, places_of, rows_of, trimmed
from qstore_ray.data.tables.texts import FALSE, TRUE, is_number
from qstore_ray.errors import DataError, placed

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray

_FIX = "Give a column numbers, text, or true and false."


def column_of(values: Any, name: str) -> pa.ChunkedArray:
    """A column of any library as Arrow holds it; NaN of pandas and None are null.

    Raises:
        DataError: values of several kinds, or of one that Arrow does not support.
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
    if not pa.types.is_dictionary(kind) or is_text(kind):
        return found
    try:
        return found.cast(kind.value_type)
    except pa.ArrowException as exc:
        raise DataError(
            f"categories of type {kind.value_type} are no numbers and no text",
            field=f"column {name!r}",
            fix="Give a column numbers or text, of pandas by astype(str); or leave it out.",
        ) from exc


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

    Whole numbers in text are exact, however large.

    Raises:
        DataError: a label that is missing, or is no number, or not true or false, if the classes
            are.
    """
    table = pa.table({name: values})
    plain = replace(schema, features=(), label=name, label_kind="text", group=None, weight=None)
    if classes and isinstance(classes[0], str):
        rows = rows_of(table, plain, where)
        found, gone = rows["y"], rows.get("unlabelled", np.zeros(0, bool))
    elif is_text(values.type):
        found, gone = _labels_in_text(trimmed(values), classes, name, where, schema.missing)
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
            found = found == 1.0
    if gone.any():
        raise DataError(
            "a label is missing",
            field=f"{where(int(np.argmax(gone)))}, column {name!r}",
            fix="Remove the row, or fill in its label.",
        )
    return found


def _labels_in_text(
    texts: pa.DictionaryArray,
    classes: Sequence[Any],
    name: str,
    where: Where,
    missing: tuple[str, ...],
) -> tuple[AnyArray, AnyArray]:
    """Labels (N,) that are numbers, or true and false, in text, and which (N,) are missing."""
    boolean = bool(classes) and isinstance(classes[0], bool)
    words = {**dict.fromkeys(TRUE, 1), **dict.fromkeys(FALSE, 0)} if boolean else {}
    signs = {None, "", *missing}
    known: list[int | float] = []
    wrong: list[bool] = []
    lacking: list[bool] = []
    for text in [*texts.dictionary.to_pylist(), None]:  # the last one is of rows without a value
        number = None if text in signs else words.get(text, _number(text))
        known.append(0 if number is None else number)
        lacking.append(text in signs)
        wrong.append(number is None and text not in signs)
    places = places_of(texts)
    odd = np.array(wrong)[places]
    if odd.any():
        row = int(np.argmax(odd))
        with placed(where, name):
            raise _no_label_error(texts[row].as_py(), classes, row)
    gone = np.array(lacking)[places]
    found: AnyArray = np.array(known)[places]
    if boolean:
        _check_boolean(found, gone, name, where)
        found = found == 1
    return found, gone


def _number(text: str) -> int | float | None:
    """The number that `text` is, exact if it is whole; None if it is none."""
    if not is_number(text):
        return None
    try:
        whole = int(text)
    except ValueError:
        return float(text)
    return whole if -(2**63) <= whole < 2**63 else float(text)


def _no_label_error(value: str, classes: Sequence[Any], row: int) -> DataError:
    """The error of a text among the labels of a model that has numbers, or true and false."""
    if classes:
        return unknown_label_error(np.array([value]), classes, row)
    return DataError(
        "a label is not a number, as the labels of training are, first in row {row}",
        row=row,
        field="y",
        value=value,
        fix="Write a number, or remove the row.",
    )


def _check_boolean(found: AnyArray, gone: AnyArray, name: str, where: Where) -> None:
    """Raise `DataError` if a label (N,) that is not missing is neither 0 nor 1."""
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

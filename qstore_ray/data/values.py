"""Values of a column as float64, by what the schema says the column is.

A number is itself, true and false are 1 and 0, and a category is the number of its text; a missing
value is NaN. The text of a number, of `true`, or of a category means the same as the value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from qstore_ray.data.columns import Column
from qstore_ray.errors import DataError

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, FloatArray

_BOOLEAN = {"true": 1.0, "false": 0.0, "1": 1.0, "0": 0.0, "1.0": 1.0, "0.0": 0.0}
_SHOWN = 10


def column_of(values: Any, name: str) -> pa.ChunkedArray:
    """A column of any library as Arrow holds it; NaN of pandas and None are null.

    Raises:
        DataError: values of several kinds, or of none that Arrow knows.
    """
    if isinstance(values, pa.ChunkedArray):
        return values
    if isinstance(values, np.ndarray) and values.dtype.kind == "O":
        values = values.tolist()
    try:
        if hasattr(values, "__arrow_c_stream__"):
            return pa.chunked_array(values)
        found = pa.array(values, from_pandas=True)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as exc:
        return pa.chunked_array([_texts(values, name, exc)])
    return found if isinstance(found, pa.ChunkedArray) else pa.chunked_array([found])


def numbers_of(column: Column, values: pa.ChunkedArray, missing: Sequence[str] = ()) -> FloatArray:
    """The values (N,) of a column: numbers, 0 and 1, or numbers of categories; NaN where missing.

    Raises:
        DataError: a value that is none of them, with its row and column.
    """
    values = _plain(values)
    kind = values.type
    if pa.types.is_null(kind):
        return np.full(len(values), np.nan)
    if column.kind == "category":
        return _categories(column, _as_text(column, values), missing)
    if _is_text(kind):
        return _parsed(column, values, missing)
    if not (_is_number(kind) or pa.types.is_boolean(kind)):
        raise _wrong(column, f"values of type {kind} are no numbers")
    numbers = _as_floats(pc.cast(values, pa.float64(), safe=False))
    if signs := _as_numbers(missing):
        numbers = np.where(np.isin(numbers, signs), np.nan, numbers)
    if column.kind == "boolean":
        _check(column, ~np.isin(numbers, (0.0, 1.0)) & ~np.isnan(numbers), values.to_pylist)
    return numbers


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
    values = _plain(values)
    if pa.types.is_boolean(values.type):
        return Column(name, "boolean")
    if _is_text(values.type):
        texts = pc.unique(values).to_pylist()
        return Column(name, "category", tuple(sorted(text for text in texts if text)))
    if not (_is_number(values.type) or pa.types.is_null(values.type)):
        raise _wrong(Column(name), f"values of type {values.type} are no numbers")
    return Column(name)


def category_numbers(column: Column, numbers: AnyArray) -> None:
    """Raise `DataError` unless the values (N,) are numbers of categories, or NaN."""
    whole = np.isin(numbers, np.arange(len(column.categories)))
    _check(column, ~whole & ~np.isnan(numbers.astype(np.float64)), numbers.tolist)


def _plain(values: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    return values


def _is_text(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def _is_number(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind))


def _as_numbers(missing: Sequence[str]) -> list[float]:
    return [number for text in missing if (number := _number(text)) is not None]


def is_number(text: str) -> bool:
    """Whether a text is a number."""
    return _number(text) is not None


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _as_floats(values: pa.ChunkedArray) -> FloatArray:
    return np.asarray(values.to_numpy(), np.float64)


def _parsed(column: Column, values: pa.ChunkedArray, missing: Sequence[str]) -> FloatArray:
    """Numbers, or 1 and 0, from their texts."""
    if column.kind == "number":
        texts = pc.utf8_trim_whitespace(values)
        gone = pc.is_in(texts, value_set=pa.array(["", *missing], texts.type))
        try:  # at once, and one by one only to say which is wrong
            return _as_floats(pc.cast(pc.if_else(gone, None, texts), pa.float64()))
        except pa.ArrowInvalid:
            pass
    known = dict.fromkeys(("", *missing), np.nan)
    found: list[float] = []
    for row, text in enumerate(values.to_pylist()):
        plain = None if text is None else text.strip()
        value: float | None
        if plain is None or plain in known:
            value = np.nan
        elif column.kind == "boolean":
            value = _BOOLEAN.get(plain.lower())
        else:
            value = _number(plain)
        if value is None:
            raise _bad_value(column, row, text)
        found.append(value)
    return np.array(found, np.float64)


def _categories(column: Column, texts: Sequence[str | None], missing: Sequence[str]) -> FloatArray:
    numbers: dict[str | None, float] = {None: np.nan, **dict.fromkeys(("", *missing), np.nan)}
    numbers |= {text: float(number) for number, text in enumerate(column.categories)}
    found = []
    for row, text in enumerate(texts):
        if text not in numbers:
            raise _bad_value(column, row, text)
        found.append(numbers[text])
    return np.array(found, np.float64)


def _as_text(column: Column, values: pa.ChunkedArray) -> list[str | None]:
    """The values as a text file has them: 1.0 of a whole number as 1."""
    kind = values.type
    if _is_text(kind):
        texts: list[str | None] = values.to_pylist()
        return texts
    if pa.types.is_boolean(kind):
        return [None if value is None else str(value) for value in values.to_pylist()]
    if not _is_number(kind):
        raise _wrong(column, f"values of type {kind} are no categories")
    return [_text_of(value) for value in values.to_pylist()]


def _text_of(value: Any) -> str | None:
    if value is None or value != value:  # noqa: PLR0124 - NaN
        return None
    return str(int(value)) if value == int(value) else str(value)


def _texts(values: Any, name: str, reason: Exception) -> pa.Array:
    """A column of numbers and text side by side, each as text; else what Arrow said of it."""
    plain = (str, int, float, bool, np.generic, type(None))
    listed = values.tolist() if hasattr(values, "tolist") else list(values)
    if not all(isinstance(value, plain) for value in listed):
        raise DataError(
            f"the column cannot be read: {reason}",
            field=f"column {name!r}",
            fix="Give a column numbers, text, or true and false.",
        ) from reason
    return pa.array([None if v is None or v != v else str(v) for v in listed])  # noqa: PLR0124 - NaN


def _check(column: Column, wrong: AnyArray, values: Callable[[], list[Any]]) -> None:
    if wrong.any():
        row = int(np.argmax(wrong))
        raise _bad_value(column, row, values()[row])


def _bad_value(column: Column, row: int, value: Any) -> DataError:
    what = {
        "number": "the value is no number",
        "boolean": "the value is neither true nor false",
        "category": "the category was not there in training",
    }[column.kind]
    shown = ", ".join(column.categories[:_SHOWN])
    rest = ", …" if len(column.categories) > _SHOWN else ""
    fix = {
        "number": "Write a number, or leave the value out where it is missing.",
        "boolean": "Write true or false.",
        "category": f"The categories are {shown}{rest}.",
    }[column.kind]
    return DataError(what, field=f"column {column.name!r}, row {row}", value=value, fix=fix)


def _wrong(column: Column, what: str) -> DataError:
    return DataError(
        what, field=f"column {column.name!r}", fix="Give numbers, text, or true and false."
    )


def labels_of(values: pa.ChunkedArray, classes: Sequence[Any], name: str) -> AnyArray:
    """Labels (N,) in the form that the classes have: text, true and false, or numbers.

    Raises:
        DataError: a label that is missing, or is no number where the classes are.
    """
    plain = _plain(values)
    column = Column(name, "boolean" if classes and isinstance(classes[0], bool) else "number")
    if classes and isinstance(classes[0], str):
        texts = _as_text(column, plain)
        missing = [row for row, text in enumerate(texts) if not text]
        found: AnyArray = np.array([text or "" for text in texts], str)
    else:
        found = numbers_of(column, plain)
        missing = np.flatnonzero(np.isnan(found)).tolist()
    if missing:
        raise DataError(
            "a label is missing",
            field=f"column {name!r}, row {missing[0]}",
            fix="Remove the row, or fill in its label.",
        )
    return found.astype(bool) if column.kind == "boolean" else found

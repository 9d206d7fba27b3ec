"""A table and what its columns mean, as arrays: features (N, F), labels (N,), groups (N,).

Every tabular format reads its rows by this one function, in training and in prediction.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from qstore_ray.data.columns import Column, TableSchema
from qstore_ray.data.rows.spelling import spelled
from qstore_ray.data.rows.weights import checked_weights
from qstore_ray.data.tables.notation import notation_of
from qstore_ray.data.tables.texts import BOOLEANS, FALSE, TRUE, is_number
from qstore_ray.errors import DataError

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray

Where: TypeAlias = Callable[[int], str]

_EXACT = 2**53
_ROWS_AT_ONCE = 4096
UNKNOWN = -1.0
"""What a category that the schema does not have is, where such are zeros."""


def rows_of(
    table: pa.Table,
    schema: TableSchema,
    where: Where,
    *,
    dtype: np.dtype[np.generic] = np.dtype(np.float64),  # noqa: B008, immutable
    labelled: bool = True,
) -> dict[str, AnyArray]:
    """`x` (N, F), and if they are asked for `y`, `group`, `weight` and `unlabelled`, each (N,).

    `unlabelled` says which rows have no label (their `y` is of no meaning); it is left out where
    all have one.

    Args:
        table: the columns that the schema names, and maybe others.
        schema: what they mean.
        where: file and place of the row with this number in the table, for error messages.
        dtype: of x, where all columns are numbers and none is missing.
        labelled: whether label, group and weight are read.

    Raises:
        DataError: a value that is not what its column is, or a group or weight that is missing.
    """
    learnt = not labelled
    columns = [_feature(table.column(c.name), c, schema, where, learnt) for c in schema.features]
    rows = {"x": _matrix(columns, table.num_rows, dtype)}
    if not labelled:
        return rows
    if schema.label is not None:
        rows |= _labels(table.column(schema.label), schema, where)
    if schema.group is not None:
        rows["group"] = groups_of(table.column(schema.group), schema.group, where)
    if schema.weight is not None:
        rows["weight"] = weights_of(table.column(schema.weight), schema, where)
    return rows


def is_text(kind: pa.DataType) -> bool:
    """Whether a column of this type holds texts."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def trimmed(column: pa.ChunkedArray) -> pa.DictionaryArray:
    """A column of texts as `spelled` gives them, each distinct text once; others as text."""
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(whole, pa.ChunkedArray):  # of no rows
        whole = pa.array([], column.type)
    if not is_text(whole.type):
        whole = whole.cast(pa.string())
    if not pa.types.is_dictionary(whole.type):
        whole = whole.dictionary_encode()
    texts = pc.utf8_trim_whitespace(whole.dictionary.cast(pa.string()))
    if not pc.all(pc.string_is_ascii(texts)).as_py():
        # Arrow's own utf8_normalize decomposes for "NFC" too (pyarrow 25).
        texts = pa.array([spelled(text) for text in texts.to_pylist()], pa.string())
    return pa.DictionaryArray.from_arrays(whole.indices, texts)


def sentinels(missing: tuple[str, ...]) -> AnyArray:
    """The numbers among the signs of a missing value."""
    numbers = [float(sign) for sign in missing if is_number(sign)]
    return np.array([number for number in numbers if np.isfinite(number)])


def _feature(
    column: pa.ChunkedArray, of: Column, schema: TableSchema, where: Where, learnt: bool
) -> AnyArray:
    if of.kind == "category":
        return _codes(trimmed(column), of, schema, where)
    if is_text(column.type):
        return _numbers_in_text(trimmed(column), of, schema, where, learnt)
    values = _numbers(column, of, where)
    signs = sentinels(schema.missing)
    if of.kind == "number" and signs.size and (hit := np.isin(values, signs)).any():
        values = np.where(hit, np.nan, values)
    return values


def _numbers(column: pa.ChunkedArray, of: Column, where: Where) -> AnyArray:
    kind = column.type
    if pa.types.is_boolean(kind) and column.null_count:
        column = column.cast(pa.int8())
    elif pa.types.is_decimal(kind) or pa.types.is_null(kind):
        column = column.cast(pa.float64())
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        raise DataError(
            f"columns of type {kind} are no numbers",
            field=f"{where(0)}, column {of.name!r}",
            fix="Give numbers, text, or true and false.",
        )
    values: AnyArray = column.to_numpy()
    return values


def _codes(texts: pa.DictionaryArray, of: Column, schema: TableSchema, where: Where) -> AnyArray:
    """The place (N,) of every text among the categories; NaN where it is missing."""
    known = {spelled(name): float(place) for place, name in enumerate(of.categories)}
    found = texts.dictionary.to_pylist()
    missing = {None, *schema.missing}
    codes = np.array(
        [np.nan if text in missing else known.get(text, UNKNOWN) for text in found] + [np.nan]
    )
    values: AnyArray = codes[places_of(texts)]
    if schema.unknown == "error" and (values == UNKNOWN).any():
        row = int(np.argmax(values == UNKNOWN))
        shown = ", ".join(map(repr, of.categories[:10]))
        raise DataError(
            "a category that the training data do not have",
            field=f"{where(row)}, column {of.name!r}",
            value=texts[row].as_py(),
            fix=f"Known are {shown}{', …' if len(of.categories) > 10 else ''}. Remove the row, or "
            'train with columns.unknown = "zeros".',
        )
    return values


def _numbers_in_text(
    texts: pa.DictionaryArray, of: Column, schema: TableSchema, where: Where, learnt: bool
) -> AnyArray:
    """Numbers, or true and false, that are written as text, (N,)."""
    missing = {None, *schema.missing}
    booleans = {**dict.fromkeys(TRUE, 1.0), **dict.fromkeys(FALSE, 0.0)}
    values: list[float] = []
    wrong: set[int] = set()
    for place, text in enumerate(texts.dictionary.to_pylist()):
        if text in missing:
            values.append(np.nan)
        elif of.kind == "boolean" and text in booleans:
            values.append(booleans[text])
        elif is_number(text):
            values.append(float(text))
        else:
            values.append(0.0)
            wrong.add(place)
    places = places_of(texts)
    if wrong and (bad := np.isin(places, list(wrong))).any():
        row = int(np.argmax(bad))
        at = f"{where(row)}, column {of.name!r}"
        raise not_a_number_error(texts[row].as_py(), at, schema.missing, of.name, learnt=learnt)
    signs = sentinels(schema.missing)
    filled = np.array([*values, np.nan])
    filled[np.isin(filled, signs)] = np.nan
    numbers: AnyArray = filled[places]
    return numbers


def not_a_number_error(
    value: str, at: str, missing: tuple[str, ...], name: str, *, learnt: bool = False
) -> DataError:
    """The error for a text in a column of numbers: what it may be, and what to type then.

    `learnt` says that a model has learnt the column as numbers: the rows are to predict on.
    """
    if learnt:
        notation = notation_of([value])
        fix = f"{notation.fix}. " if notation else ""
        fix += "The model has learnt numbers here. Write one, or leave the value empty if it is "
        return DataError("a feature is not a number", field=at, value=value, fix=f"{fix}missing.")
    return not_a_value_error(value, at, missing, name, "a feature is not a number")


def not_a_value_error(
    value: str, at: str, missing: tuple[str, ...], name: str, message: str
) -> DataError:
    """The error for a text that may be a missing value or a category."""
    signs = [sign for sign in missing if sign] if len(missing) < 10 else []
    written = ", ".join(f'"{sign}"' for sign in [*signs, value])
    sign = f"If it stands for a missing value, set params.missing = [{written}]"
    kept = f'if the column holds names, columns.categories = ["{name}"]'
    out = f'or leave it out by columns.exclude = ["{name}"]'
    if notation := notation_of([value]):
        fix = f"{notation.fix}. {sign}; {kept}; {out}."
    elif any(map(str.isdigit, value)) and any(map(str.isalpha, value)):  # a name, with few doubts
        fix = f"I{kept[1:]}; {out}. {sign}."
    else:
        fix = f"{sign}; {kept}; {out}."
    return DataError(message, field=at, value=value, fix=fix)


def places_of(texts: pa.DictionaryArray) -> AnyArray:
    """Places (N,) in the dictionary; a missing value gets the place behind its end."""
    filled = pc.fill_null(texts.indices.cast(pa.int64()), len(texts.dictionary))
    places: AnyArray = filled.to_numpy(zero_copy_only=False)
    return places


def _matrix(columns: list[AnyArray], n_rows: int, dtype: np.dtype[np.generic]) -> AnyArray:
    """The feature columns as (N, F)."""
    if any(column.dtype.kind == "f" for column in columns) and dtype.kind != "f":
        dtype = np.dtype(np.float64)  # whole numbers with one missing
    x = np.empty((n_rows, len(columns)), dtype)
    # Some rows of every column at a time, so that what is written stays in the cache.
    for start in range(0, n_rows, _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        for position, column in enumerate(columns):
            x[rows, position] = column[rows]
    return x


def _labels(column: pa.ChunkedArray, schema: TableSchema, where: Where) -> dict[str, AnyArray]:
    in_text = schema.label_kind == "text" or is_text(column.type)
    read = _labels_in_text if in_text else _labels_of_type
    values, unlabelled = read(column, schema, where)
    floats = values.dtype.kind == "f"
    if floats and (large := np.isfinite(values) & (np.abs(values) >= _EXACT)).any():
        row = int(np.argmax(large))
        raise DataError(
            "a label is too large to be distinguished from its neighbours",
            field=f"{where(row)}, column {schema.label!r}",
            value=float(values[row]),
            fix='Set params.label_type = "text".',
        )
    return {"y": values} | ({"unlabelled": unlabelled} if unlabelled.any() else {})


def _labels_of_type(
    column: pa.ChunkedArray, schema: TableSchema, where: Where
) -> tuple[AnyArray, AnyArray]:
    """Labels (N,) that are numbers or booleans by their type, and which (N,) are missing."""
    kind = column.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        raise DataError(
            f"labels of type {kind} are refused", field=f"{where(0)}, column {schema.label!r}"
        )
    unlabelled = np.asarray(column.is_null())
    column = pc.fill_null(column, False if pa.types.is_boolean(kind) else 0)
    values: AnyArray = column.to_numpy()
    if values.dtype.kind != "b" and (signs := sentinels(schema.missing)).size:
        unlabelled = unlabelled | np.isin(values, signs)
    if values.dtype.kind == "f":
        unlabelled = unlabelled | np.isnan(values)
        values = np.where(np.isnan(values), 0.0, values)
    return values, unlabelled


def _labels_in_text(
    column: pa.ChunkedArray, schema: TableSchema, where: Where
) -> tuple[AnyArray, AnyArray]:
    """Labels (N,) from texts, and which (N,) are missing."""
    texts = trimmed(column)
    names = ["" if name is None else name for name in texts.dictionary.to_pylist()] + [""]
    places, missing = places_of(texts), {"", *schema.missing}
    gone = np.array([name in missing for name in names])
    if schema.label_kind == "text":
        return np.array(names)[places], gone[places]
    if schema.label_kind == "boolean":
        odd = np.array([not gone[at] and name not in BOOLEANS for at, name in enumerate(names)])
        if (bad := odd[places]).any():
            row = int(np.argmax(bad))
            raise DataError(
                "a label is neither true nor false, as the others are",
                field=f"{where(row)}, column {schema.label!r}",
                value=texts[row].as_py(),
                fix='Set params.label_type = "text" if labels are names, or params.missing if it '
                "stands for a missing one.",
            )
        return np.array([name in TRUE for name in names])[places], gone[places]
    wrong = np.array([not (g or is_number(name)) for name, g in zip(names, gone, strict=True)])
    if (bad := wrong[places]).any():
        row = int(np.argmax(bad))
        raise DataError(
            "a label is not a number, as most of the first ones are",
            field=f"{where(row)}, column {schema.label!r}",
            value=texts[row].as_py(),
            fix='Set params.label_type = "text" if labels are names, or params.missing if it '
            "stands for a missing one.",
        )
    numbers = np.array([0.0 if g else float(name) for name, g in zip(names, gone, strict=True)])
    return numbers[places], gone[places]


def weights_of(column: pa.ChunkedArray, schema: TableSchema, where: Where) -> AnyArray:
    """The sample weights (N,) in the column `schema.weight`.

    Raises:
        DataError: a weight that is no number, is missing, NaN or infinite, or is below 0.
    """
    name = str(schema.weight)
    if is_text(column.type):
        texts = trimmed(column)
        known = [
            float(text) if text is not None and is_number(text) else np.nan
            for text in texts.dictionary.to_pylist()
        ]
        values = np.array([*known, np.nan])[places_of(texts)]
        shown: Callable[[int], object] = lambda row: texts[row].as_py()  # noqa: E731
    elif pa.types.is_boolean(column.type):
        raise DataError(
            "weights are numbers, these are true or false",
            field=f"{where(0)}, column {name!r}",
            fix="Write 1 and 0.",
        )
    else:
        values = _numbers(column, Column(name), where).astype(np.float64)
        shown = lambda row: column[row].as_py()  # noqa: E731
    if (signs := sentinels(schema.missing)).size:
        values = np.where(np.isin(values, signs), np.nan, values)
    return checked_weights(values, lambda row: f"{where(row)}, column {name!r}", shown)


def groups_of(column: pa.ChunkedArray, name: str, where: Where) -> AnyArray:
    """The groups (N,) in the column `name`, whole numbers or text.

    Raises:
        DataError: a group is missing.
    """
    text = is_text(column.type)
    if text:
        column = pa.chunked_array([trimmed(column).cast(pa.string())])
    gone = np.asarray(column.is_null())
    if text:
        gone = gone | np.asarray(pc.equal(pc.fill_null(column, ""), ""))
    if gone.any():
        row = int(np.argmax(gone))
        raise DataError(
            "a group is missing",
            field=f"{where(row)}, column {name!r}",
            fix="Remove the row, or fill in its group.",
        )
    values: AnyArray = column.to_numpy()
    return (values.astype(str) if len(values) else np.empty(0, "U1")) if text else values

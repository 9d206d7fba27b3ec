"""Tables whose columns have types (Parquet, the hub): which are read, and what their types say.

Numbers and booleans are what their type says; texts are looked at by `kinds.py`. A list column of
one length is as many features, called `name_0`, `name_1`, …
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from qstore_ray.data.columns import LabelKind, TableSchema
from qstore_ray.data.tables.choose import EMPTY, INDEX, Chosen, choose
from qstore_ray.data.tables.kinds import Survey, refuse_columns
from qstore_ray.data.tables.request import TableRequest
from qstore_ray.data.tables.rows import is_text
from qstore_ray.errors import DataError

_EXTENSION = b"ARROW:extension:name"


@dataclass(frozen=True)
class ArrowTable:
    """The columns that are read of a table.

    Args:
        names: of the columns.
        types: of each, as text.
        lists: the columns of lists, and how long these are.
        dtype: the numpy type that holds every feature.
        strict: whether another type in another file is an error.
    """

    names: tuple[str, ...]
    types: tuple[str, ...]
    lists: tuple[tuple[str, int], ...]
    dtype: str
    strict: bool = True

    def check(self, schema: pa.Schema, where: str) -> None:
        """Raise `DataError` where a file lacks a column, or has it with another type."""
        for name, kind in zip(self.names, self.types, strict=True):
            if schema.get_field_index(name) < 0:
                raise DataError("a column is missing", field=where, value=name)
            found = str(schema.field(name).type)
            if self.strict and found != kind:
                raise DataError(
                    f"the column has the type {found}, in the first file it has {kind}",
                    field=f"{where}, column {name!r}",
                    fix="Write all files with one schema.",
                )

    def expanded(self, table: pa.Table, where: str) -> pa.Table:
        """The table with a column for every place of its lists."""
        for name, width in self.lists:
            at = table.schema.get_field_index(name)
            if at < 0:
                continue
            for place, column in enumerate(_unpacked(table.column(name), width, where, name)):
                table = table.append_column(f"{name}_{place}", column)
        return table


def read_schema(
    schema: pa.Schema,
    request: TableRequest,
    where: str,
    blocks: Callable[[tuple[str, ...]], Iterable[pa.Table]],
    *,
    index: Mapping[str, str] | None = None,
    empty: Mapping[str, bool] | None = None,
) -> tuple[ArrowTable, TableSchema]:
    """The columns to read of a table with this arrow schema, and what they mean.

    Args:
        schema: names and types.
        request: what is asked for.
        where: the file, for error messages.
        blocks: reads the columns of these names, block by block.
        index: columns that are no data, and why.
        empty: columns without any value.

    Raises:
        DataError: columns that are no features, or none is the label.
    """
    if request.schema is not None:
        return _given(schema, request, where, blocks)
    chosen = choose(schema.names, request, where, index=index)
    gone = {name: EMPTY for name in chosen.features if (empty or {}).get(name)}
    gone |= {n: EMPTY for n in chosen.features if pa.types.is_null(schema.field(n).type)}
    kept = tuple(name for name in chosen.features if name not in gone)
    chosen = chosen._replace(features=kept, left_out=(*chosen.left_out, *gone.items()))
    _check_types(schema, chosen, where)
    listed = tuple(name for name in chosen.features if _is_list(schema.field(name).type))
    widths = _widths(schema, listed, blocks, where)
    flat = tuple(
        part
        for name in chosen.features
        for part in ([f"{name}_{i}" for i in range(widths[name])] if name in widths else [name])
    )
    names = chosen.names
    kinds = {name: schema.field(name).type for name in names}
    label = _label_kind(kinds[chosen.label], request) if chosen.label else ""
    numbers = [n for n in flat if n not in kinds or _is_number(kinds[n])]
    booleans = [n for n in flat if n in kinds and pa.types.is_boolean(kinds[n])]
    survey = Survey(
        chosen._replace(features=flat), request, numbers=numbers, booleans=booleans, label=label
    )
    if survey.columns:
        for block in blocks(survey.columns):
            survey.add(block)
    found = survey.schema(where)
    others = (found.label, found.group, found.weight)
    used = tuple(name for name in names if name in widths or name in (*found.names, *others))
    dtypes = [_dtype(kinds[n]) for n in used if n not in others]
    types = tuple(str(kinds[name]) for name in used)
    dtype = np.result_type(*dtypes).str if dtypes else "<f8"
    return ArrowTable(used, types, tuple(widths.items()), dtype), found


def index_of(schema: pa.Schema) -> dict[str, str]:
    """The columns that pandas' metadata marks as the index."""
    try:
        metadata = json.loads((schema.metadata or {}).get(b"pandas", b"{}"))
        columns = metadata.get("index_columns", [])
    except (ValueError, AttributeError):
        return {}
    return {name: INDEX for name in columns if isinstance(name, str)}


def _given(
    schema: pa.Schema,
    request: TableRequest,
    where: str,
    blocks: Callable[[tuple[str, ...]], Iterable[pa.Table]],
) -> tuple[ArrowTable, TableSchema]:
    assert request.schema is not None
    wanted = set(request.schema.names)
    lists = [
        name
        for name in schema.names
        if _is_list(schema.field(name).type) and f"{name}_0" in wanted and name not in wanted
    ]
    widths = _widths(schema, tuple(lists), blocks, where)
    parts = {f"{name}_{place}": name for name in lists for place in range(widths[name])}
    chosen = choose((*schema.names, *parts), request, where)
    names = tuple(dict.fromkeys(parts.get(name, name) for name in chosen.names))
    plain = chosen._replace(features=tuple(n for n in names if n not in widths))
    _check_types(schema, plain, where)
    types = tuple(str(schema.field(name).type) for name in names)
    return ArrowTable(names, types, tuple(widths.items()), "<f8", strict=False), request.schema


def _check_types(schema: pa.Schema, chosen: Chosen, where: str) -> None:
    wrong = {}
    for name in chosen.names:
        column = schema.field(name)
        kind = column.type
        foreign = _EXTENSION in (column.metadata or {}) or isinstance(kind, pa.BaseExtensionType)
        scalar = is_text(kind) or _is_number(kind) or pa.types.is_boolean(kind)
        if name == chosen.group and not (is_text(kind) or pa.types.is_integer(kind)):
            raise DataError(
                f"groups are whole numbers or text, these are {kind}",
                field=f"{where}, column {name!r}",
                fix="Write them as text.",
            )
        if name == chosen.weight and not _is_number(kind) and not is_text(kind):
            raise DataError(
                f"weights are numbers, these are {kind}",
                field=f"{where}, column {name!r}",
                fix="Write one number a row, or name another column as columns.weight.",
            )
        if foreign:
            wrong[name] = f"extension {kind}"
        elif not (scalar or (name in chosen.features and _is_list(kind))):
            wrong[name] = str(kind)
    if chosen.label in wrong:
        raise DataError(
            f"columns of type {wrong[chosen.label]} are no labels",
            field=f"{where}, column {chosen.label!r}",
            fix="Write them as numbers or text.",
        )
    refuse_columns(wrong, where)


def _label_kind(kind: pa.DataType, request: TableRequest) -> LabelKind:
    if is_text(kind):
        quantity = request.task != "classification"
        return "" if quantity and request.label_type == "auto" else "text"
    return "boolean" if pa.types.is_boolean(kind) else "number"


def _is_number(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind))


def _is_list(kind: pa.DataType) -> bool:
    nested = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    if not (nested or pa.types.is_fixed_size_list(kind)):
        return False
    return _is_number(kind.value_type) or pa.types.is_boolean(kind.value_type)


def _dtype(kind: pa.DataType) -> np.dtype[np.generic]:
    if _is_list(kind):
        kind = kind.value_type
    exact = _is_number(kind) and not pa.types.is_decimal(kind)
    if exact or pa.types.is_boolean(kind):
        exactly: np.dtype[np.generic] = np.dtype(kind.to_pandas_dtype())
        return exactly
    return np.dtype(np.float64)


def _widths(
    schema: pa.Schema,
    names: tuple[str, ...],
    blocks: Callable[[tuple[str, ...]], Iterable[pa.Table]],
    where: str,
) -> dict[str, int]:
    """How long the lists of each column are."""
    fixed = {
        name: schema.field(name).type.list_size
        for name in names
        if pa.types.is_fixed_size_list(schema.field(name).type)
    }
    others = tuple(name for name in names if name not in fixed)
    for table in blocks(others) if others else ():
        for name in others:
            lengths = pc.unique(pc.list_value_length(table.column(name))).drop_null()
            if len(lengths) and name not in fixed:
                fixed[name] = lengths[0].as_py()
        if len(fixed) == len(names):
            break
    for name in names:
        if not fixed.get(name):
            raise DataError("lists without values", field=f"{where}, column {name!r}")
    return {name: fixed[name] for name in names}


def _unpacked(
    column: pa.ChunkedArray, width: int, where: str, name: str
) -> Iterable[pa.ChunkedArray]:
    lengths = pc.list_value_length(column)
    odd = pc.fill_null(pc.not_equal(lengths, width), True)
    if pc.any(odd).as_py():
        row = pc.index(odd, True).as_py()
        raise DataError(
            f"the list has {lengths[row].as_py()} values, the first one has {width}",
            field=f"{where}, column {name!r}",
            value=f"position {row}",
            fix="Give all rows lists of one length.",
        )
    values = pc.list_flatten(column).combine_chunks()
    if isinstance(values, pa.ChunkedArray):
        values = pa.concat_arrays(values.chunks) if values.num_chunks else pa.array([], values.type)
    for place in range(width):
        yield pa.chunked_array([values.take(pa.array(np.arange(place, len(values), width)))])

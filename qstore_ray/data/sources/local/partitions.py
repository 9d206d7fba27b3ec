"""Columns in the names of folders: `year=2020/month=1/part-0.parquet`, as Hive writes them.

A folder called `name=value` gives every row of the files below it a column `name`. Such a column is
of whole numbers where all of its values are, and of text otherwise. A folder whose value says a
part of the data (`split=test`) is a part and no column. Folders above the one that is read count
only for rows to predict on, whose columns are found by their names anyway.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias
from urllib.parse import unquote

import pyarrow as pa

from qstore_ray.data.sources.local.base import Files
from qstore_ray.data.sources.parts import part_of_name
from qstore_ray.errors import DataError

Partition: TypeAlias = tuple[tuple[str, int | str | None], ...]

_MISSING = "__HIVE_DEFAULT_PARTITION__"


def partitions_of(files: Files) -> dict[str, Partition]:
    """The columns that the folders of each file stand for, with their value there.

    Raises:
        DataError: files in folders of other names.
    """
    paths = [path for part in files.values() for path in part]
    texts = {
        path: _texts(path[len(files.homes.get(part, "")) :])
        for part, those in files.items()
        for path in those
    }
    first = paths[0]
    for path, found in texts.items():
        if list(found) != list(texts[first]):
            raise DataError(
                f"its folders stand for the columns {list(found)}, those of {first} for "
                f"{list(texts[first])}",
                field=path,
                fix="Give files of one kind, or choose some of them with a pattern.",
            )
    whole = {
        name
        for name in texts[first]
        if all(_is_whole(found[name]) for found in texts.values() if found[name] is not None)
    }
    return {
        path: tuple((n, int(v) if n in whole and v is not None else v) for n, v in found.items())
        for path, found in texts.items()
    }


def with_fields(schema: pa.Schema, partition: Partition) -> pa.Schema:
    """The schema of a file with its partition's columns; those that the file has itself win."""
    for name, value in partition:
        if name not in schema.names:
            schema = schema.append(pa.field(name, _type(value)))
    return schema


def with_columns(table: pa.Table, partition: Partition, names: Sequence[str]) -> pa.Table:
    """The columns `names` of a table, those of its partition filled in."""
    for name, value in partition:
        if name in names and name not in table.column_names:
            kind = _type(value)
            column = pa.array([value], kind).take(pa.array([0] * table.num_rows, pa.int64()))
            table = table.append_column(pa.field(name, kind), column)
    return table.select(list(names))


def _type(value: int | str | None) -> pa.DataType:
    return pa.int64() if isinstance(value, int) else pa.string()


def _is_whole(text: str | None) -> bool:
    return text is not None and text.lstrip("-").isdecimal() and str(int(text)) == text


def _texts(path: str) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for folder in path.split("/")[:-1]:
        name, sign, value = folder.partition("=")
        if sign and name and part_of_name(value).part is None:
            found[unquote(name)] = None if value == _MISSING else unquote(value)
    return found

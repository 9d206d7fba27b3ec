"""Parquet files, read by row groups and only in the columns that are needed (pyarrow).

Types are taken from the files' schemas, which have to be equal for the columns that are used.
Columns are numbers, bools or, for the label, text; nested lists and extension types are refused
from the schema alone, before any of their content is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from qstore_ray.data.files import is_remote, open_file
from qstore_ray.data.frame import Frame
from qstore_ray.data.sources.base import ColumnsConfig
from qstore_ray.data.sources.local.base import Chunk, Contents, Files, Format
from qstore_ray.data.sources.local.table import Chosen, choose, rows_of
from qstore_ray.errors import DataError

if TYPE_CHECKING:
    from qstore_ray.data.signature import Signature
    from qstore_ray.data.sources.local.params import LocalParams
    from qstore_ray.types import AnyArray

_EXTENSION = b"ARROW:extension:name"


@dataclass(frozen=True)
class ParquetChunk:
    """Some row groups of a Parquet file."""

    path: str
    groups: tuple[int, ...]
    n_rows: int
    chosen: Chosen
    dtype: str

    def read(self) -> tuple[AnyArray, AnyArray] | tuple[AnyArray, AnyArray, AnyArray]:
        """Features (N, F), labels (N,) and maybe groups (N,) of the rows."""
        with _opened(self.path) as file:
            _check_schema(file.schema_arrow, self.chosen, self.path)
            table = file.read_row_groups(
                list(self.groups), columns=list(self.chosen.names), use_threads=False
            )
        if table.num_rows != self.n_rows:
            raise DataError(f"{table.num_rows} rows, there were {self.n_rows}", field=self.path)
        return rows_of(table, self.chosen, np.dtype(self.dtype), self.path)


class ParquetFormat(Format):
    """Parquet files whose columns have the same types."""

    tabular: ClassVar[bool] = True
    takes: ClassVar[frozenset[str]] = frozenset({"max_columns"})

    def open(
        self, root: str, files: Files, params: LocalParams, columns: ColumnsConfig | None
    ) -> Contents:
        """Row groups, as many together as make `rows_per_task`; only metadata is read."""
        first: tuple[str, dict[str, pa.DataType], Chosen, str] | None = None
        chunks: dict[Any, tuple[Chunk, ...]] = {}
        for part in sorted(files, key=("train", "val", "test").index):
            for path in files[part]:
                with _opened(path) as file:
                    schema, metadata = file.schema_arrow, file.metadata
                if first is None:
                    chosen = choose(schema.names, columns, params, path)
                    types = _check_schema(schema, chosen, path)
                    first = path, types, chosen, _common(types, chosen)
                _check_same(schema, path, first, columns)
                made = (
                    ParquetChunk(path, groups, n_rows, first[2], first[3])
                    for groups, n_rows in _groups(metadata, params, path)
                )
                chunks[part] = (*chunks.get(part, ()), *made)
        return Contents(chunks=chunks, feature_names=None if first is None else first[2].features)

    def unlabelled(self, files: Sequence[str], params: LocalParams, signature: Signature) -> Frame:
        """Every column; those that are not asked for are not read."""
        with _opened(files[0]) as file:
            names = tuple(file.schema_arrow.names)

        def column(name: str) -> pa.ChunkedArray:
            parts = []
            for path in files:
                with _opened(path) as file:
                    if name not in file.schema_arrow.names:
                        raise DataError("a column is missing", field=path, value=name)
                    parts.append(file.read(columns=[name], use_threads=False).column(0))
            try:
                return pa.chunked_array([chunk for part in parts for chunk in part.chunks])
            except pa.ArrowException as exc:
                raise DataError(
                    f"the files have different types: {exc}",
                    field=f"column {name!r}",
                    fix="Write all files with one schema.",
                ) from exc

        return Frame(names, column)


@contextmanager
def _opened(path: str) -> Iterator[pyarrow.parquet.ParquetFile]:
    """The file, with what pyarrow raises as `DataError`."""
    with open_file(path) as stream:
        try:
            source = stream if is_remote(path) else path
            with pyarrow.parquet.ParquetFile(source, page_checksum_verification=True) as file:
                yield file
        except (pa.ArrowException, OSError, UnicodeDecodeError) as exc:
            raise DataError(
                f"a damaged or foreign file: {exc}",
                field="params.path",
                value=path,
                fix="Write it again as Parquet.",
            ) from exc


def _check_schema(schema: pa.Schema, chosen: Chosen, path: str) -> dict[str, pa.DataType]:
    """Types of the chosen columns, none of which may be nested, foreign or no numbers."""
    types = {}
    for name in chosen.names:
        if schema.get_field_index(name) < 0:
            raise DataError("a column is missing", field=path, value=name)
        column = schema.field(name)
        kind = column.type
        foreign = _EXTENSION in (column.metadata or {}) or isinstance(kind, pa.BaseExtensionType)
        if foreign or not _usable(kind, label=name not in chosen.features):
            raise DataError(
                f"columns of type {'extension ' if foreign else ''}{kind} are refused",
                field=f"{path}, column {name!r}",
                fix="Write one column of numbers for each feature, or leave it out with "
                "columns.features.",
            )
        if name == chosen.group and (pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
            raise DataError(
                f"groups are whole numbers or text, these are {kind}",
                field=f"{path}, column {name!r}",
                fix="Write them as text.",
            )
        types[name] = kind
    return types


def _usable(kind: pa.DataType, *, label: bool) -> bool:
    if label and pa.types.is_dictionary(kind):
        kind = kind.value_type
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
    return number or (label and text)


def _common(types: dict[str, pa.DataType], chosen: Chosen) -> str:
    """The numpy type that holds every feature."""
    kinds = {types[name] for name in chosen.features}
    return np.result_type(*(kind.to_pandas_dtype() for kind in kinds)).str


def _check_same(
    schema: pa.Schema,
    path: str,
    first: tuple[str, dict[str, pa.DataType], Chosen, str],
    columns: ColumnsConfig | None,
) -> None:
    first_path, types, chosen, _ = first
    others = set(schema.names) - set(types)
    if others and (columns is None or columns.features is None):
        raise DataError(
            f"columns that {first_path} does not have",
            field=path,
            value=sorted(others),
            fix="Name the columns to use in columns.features.",
        )
    for name, kind in _check_schema(schema, chosen, path).items():
        if kind != types[name]:
            raise DataError(
                f"the column has the type {kind}, in {first_path} it has {types[name]}",
                field=f"{path}, column {name!r}",
                fix="Write all files with one schema.",
            )


def _groups(metadata: Any, params: LocalParams, path: str) -> Iterator[tuple[tuple[int, ...], int]]:
    """Numbers of row groups that are read together, and their rows."""
    together: list[int] = []
    n_rows = n_bytes = 0
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        if group.total_byte_size > params.max_bytes:
            raise DataError(
                f"row group {number} is {group.total_byte_size:,} bytes, "
                f"{params.max_bytes:,} are allowed",
                field=path,
                fix="Write it with a smaller row_group_size, or raise params.max_bytes.",
            )
        full = n_rows + group.num_rows > params.rows_per_task
        if together and (full or n_bytes + group.total_byte_size > params.max_bytes):
            yield tuple(together), n_rows
            together, n_rows, n_bytes = [], 0, 0
        together.append(number)
        n_rows += group.num_rows
        n_bytes += group.total_byte_size
    if together:
        yield tuple(together), n_rows

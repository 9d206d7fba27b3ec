"""Parquet files, read by row groups and only in the columns that are needed (pyarrow).

Types are taken from the files' schemas, which have to be equal for the columns that are used. Only
columns of text are looked at when the files are opened, since their values decide what they are.
Lists of one length are as many features; other nested columns and extension types are refused from
the schema alone, before any of their content is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from qstore_ray.data.columns import TableSchema
from qstore_ray.data.files.files import is_remote, open_file
from qstore_ray.data.sources.local.base import Chunk, Contents, Files, TableFormat
from qstore_ray.data.sources.local.partitions import (
    Partition,
    partitions_of,
    with_columns,
    with_fields,
)
from qstore_ray.data.sources.parts import SPLITS, Split
from qstore_ray.data.tables.arrow import ArrowTable, index_of, read_schema
from qstore_ray.data.tables.choose import unlabelled_error
from qstore_ray.data.tables.request import TableRequest
from qstore_ray.data.tables.rows import rows_of
from qstore_ray.errors import DataError

if TYPE_CHECKING:
    from qstore_ray.data.sources.local.params import LocalParams
    from qstore_ray.types import AnyArray


@dataclass(frozen=True)
class ParquetChunk:
    """Some row groups of a Parquet file; `partition` are the columns that its folders stand for."""

    path: str
    groups: tuple[int, ...]
    n_rows: int
    first_row: int
    columns: ArrowTable
    schema: TableSchema
    labelled: bool
    partition: Partition = ()

    def read(self) -> dict[str, AnyArray]:
        """The columns x (N, F), y (N,), group and unlabelled of the rows, as they are asked for."""
        return rows_of(
            self.table(),
            self.schema,
            self.where,
            dtype=np.dtype(self.columns.dtype),
            labelled=self.labelled,
        )

    def table(self) -> pa.Table:
        """The columns that are read, lists as a column for every place.

        Raises:
            DataError: the file has another number of rows than when it was listed.
        """
        with _opened(self.path) as file:
            self.columns.check(with_fields(file.schema_arrow, self.partition), self.path)
            table = _read(file, self.groups, self.columns.names, self.partition)
        if table.num_rows != self.n_rows:
            raise DataError(f"{table.num_rows} rows, there were {self.n_rows}", field=self.path)
        return self.columns.expanded(table, self.path)

    def where(self, row: int) -> str:
        """File and number of a row."""
        return f"{self.path}, row {self.first_row + row}"


class ParquetFormat(TableFormat):
    """Parquet files whose columns have the same types."""

    takes: ClassVar[frozenset[str]] = frozenset({"max_columns", "missing"})

    def open(self, files: Files, params: LocalParams, request: TableRequest) -> Contents:
        """Row groups, as many together as make `rows_per_task`; of the content, texts are read."""
        partitions = partitions_of(files)
        opened: list[tuple[Split, str, pa.Schema, Any]] = []
        for part in sorted(files, key=SPLITS.index):
            for path in files[part]:
                with _opened(path) as file:
                    schema = with_fields(file.schema_arrow, partitions[path])
                    opened.append((part, path, schema, file.metadata))
        _, first, schema, _ = opened[0]
        empty = _empty([metadata for *_, metadata in opened])

        def blocks(names: tuple[str, ...]) -> Iterator[pa.Table]:
            for _, path, _, metadata in opened:
                for groups, _ in _groups(metadata, params, path):
                    with _opened(path) as file:
                        yield _read(file, groups, names, partitions[path])

        columns, table = read_schema(
            schema, request, first, blocks, index=index_of(schema), empty=empty
        )
        chunks: dict[Split, tuple[Chunk, ...]] = {part: () for part, *_ in opened}
        for part, path, found, metadata in opened:
            if request.schema is None and table.label and table.label not in found.names:
                raise unlabelled_error(table.label, path, first)
            columns.check(found, path)
            if request.schema is None and request.columns.features is None:
                _check_no_more(found, schema, path, first)
            row = 0
            for groups, n_rows in _groups(metadata, params, path):
                chunk = ParquetChunk(
                    path,
                    groups,
                    n_rows,
                    row,
                    columns,
                    table,
                    request.schema is None,
                    partitions[path],
                )
                chunks[part] = (*chunks[part], chunk)
                row += n_rows
        return Contents(
            chunks=chunks,
            columns=tuple(schema.names),
            feature_names=table.names,
            table=table,
        )


def _read(
    file: pyarrow.parquet.ParquetFile,
    groups: Sequence[int],
    names: Sequence[str],
    partition: Partition,
) -> pa.Table:
    """The columns `names` of some row groups, those of the file's partition among them."""
    inside = [name for name in names if name in file.schema_arrow.names]
    table = file.read_row_groups(list(groups), columns=inside, use_threads=False)
    return with_columns(table, partition, names) if len(inside) < len(names) else table


def _check_no_more(found: pa.Schema, first: pa.Schema, path: str, first_path: str) -> None:
    others = set(found.names) - set(first.names)
    if others:
        raise DataError(
            f"columns that {first_path} does not have",
            field=path,
            value=sorted(others),
            fix="Name the columns to use in columns.features.",
        )


def _empty(files: list[Any]) -> Mapping[str, bool]:
    """Columns without a single value, as far as the files' own statistics say so."""
    groups = [file.row_group(number) for file in files for number in range(file.num_row_groups)]
    if not groups or len({group.num_columns for group in groups}) > 1:
        return {}
    found = {}
    for place in range(groups[0].num_columns):
        columns = [group.column(place) for group in groups]
        found[columns[0].path_in_schema] = all(
            column.statistics is not None
            and column.statistics.has_null_count
            and column.statistics.null_count == group.num_rows
            for column, group in zip(columns, groups, strict=True)
        )
    return {name: True for name, nothing in found.items() if nothing}


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

"""JSON lines: one object a line, whose keys are the columns; read by pyarrow.

The first 1,000 lines say which columns there are, and of which type; null is a missing value. A
later line that has other keys, or a value of another type, is an error that names the line. What
columns of text are, all lines decide (`data/tables`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import pyarrow as pa
import pyarrow.json

from qstore_ray.data.columns import TableSchema
from qstore_ray.data.sources.local.base import Chunk, Contents, Files, TableFormat
from qstore_ray.data.sources.local.csv.chunk import check_range
from qstore_ray.data.sources.local.csv.lines import SAMPLED, LineRange, first_lines, line_ranges
from qstore_ray.data.sources.parts import SPLITS
from qstore_ray.data.tables.arrow import ArrowTable, read_schema
from qstore_ray.data.tables.choose import unlabelled_error
from qstore_ray.data.tables.request import TableRequest
from qstore_ray.data.tables.rows import not_a_number_error, rows_of
from qstore_ray.errors import DataError

if TYPE_CHECKING:
    from qstore_ray.data.sources.local.params import LocalParams
    from qstore_ray.types import AnyArray, Table

_NAMES = {"double": "number", "bool": "true or false", "string": "text", "int64": "whole number"}


@dataclass(frozen=True)
class JsonlLayout:
    """How the lines of a file are parsed.

    Args:
        types: names and types of all keys that the first lines have.
        whole: whether a line with another key is an error.
        max_bytes: largest range.
        learnt: whether a model has learnt the columns, and rows are to predict on.
    """

    types: tuple[tuple[str, str], ...]
    whole: bool
    max_bytes: int
    learnt: bool = False

    @property
    def schema(self) -> pa.Schema:
        """The keys as columns."""
        return pa.schema([(name, _arrow(kind)) for name, kind in self.types])

    def parse(self, lines: LineRange, names: Sequence[str]) -> pa.Table:
        """These columns of a range of lines.

        Raises:
            DataError: too large, not JSON lines, or a value of another type.
        """
        check_range(lines, self.max_bytes)
        content = lines.read()
        known = self.schema
        try:
            table = pyarrow.json.read_json(
                pa.BufferReader(content),
                pyarrow.json.ReadOptions(use_threads=False, block_size=len(content) + 1),
                pyarrow.json.ParseOptions(
                    explicit_schema=known
                    if self.whole
                    else pa.schema([known.field(n) for n in names]),
                    unexpected_field_behavior="error" if self.whole else "ignore",
                ),
            )
        except (pa.ArrowException, UnicodeDecodeError) as exc:
            raise self._line_error(lines, content, str(exc), names) from exc
        if table.num_rows != lines.n_rows:
            reason = f"{table.num_rows} rows in {lines.n_rows} lines"
            raise self._line_error(lines, content, reason, names)
        return table.select(list(names))

    def _line_error(
        self, lines: LineRange, content: bytes, reason: str, names: Sequence[str]
    ) -> DataError:
        """The error that names the first line which is wrong."""
        types = dict(self.types)
        for number, text in enumerate(content.split(b"\n")):
            where = f"{lines.path}, line {lines.line + number}"
            if not text.strip():
                continue
            row = parse_object(text, where)
            for name in types if self.whole else names:
                value = row.get(name)
                if value is None or _fits(value, types[name]):
                    continue
                at = f"{where}, column {name!r}"
                if types[name] == "double":
                    return not_a_number_error(str(value), at, (), name, learnt=self.learnt)
                return DataError(
                    f"the value is not a {_NAMES.get(types[name], types[name])}, as the first is",
                    field=at,
                    value=value,
                    fix="Write all values of a column the same way.",
                )
            if self.whole and (other := set(row) - set(types)):
                return DataError(
                    "keys that the first lines do not have",
                    field=where,
                    value=sorted(other),
                    fix="Name the columns to use in columns.features.",
                )
        return DataError(
            f"not JSON lines: {reason}",
            field=f"{lines.path}, from line {lines.line}",
            fix="Write one object a line.",
        )


@dataclass(frozen=True)
class JsonlChunk:
    """A range of lines of a JSONL file."""

    lines: LineRange
    layout: JsonlLayout
    columns: ArrowTable
    schema: TableSchema
    labelled: bool

    @property
    def n_rows(self) -> int:
        """Rows N."""
        return self.lines.n_rows

    def read(self) -> dict[str, AnyArray]:
        """The columns x (N, F), y (N,), group and unlabelled of the rows, as they are asked for."""
        return rows_of(self.table(), self.schema, self.where, labelled=self.labelled)

    def table(self) -> pa.Table:
        """The columns that are read, lists as a column for every place."""
        table = self.layout.parse(self.lines, self.columns.names)
        return self.columns.expanded(table, f"{self.lines.path}, from line {self.lines.line}")

    def where(self, row: int) -> str:
        """File and line of a row."""
        return f"{self.lines.path}, line {self.lines.line + row}"


class JsonlFormat(TableFormat):
    """JSONL files with one object a line; all files have the same keys."""

    takes: ClassVar[frozenset[str]] = frozenset(
        {"label_type", "max_line_bytes", "max_columns", "missing"}
    )

    def open(self, files: Files, params: LocalParams, request: TableRequest) -> Contents:
        """Ranges of lines; one pass over each file finds where they are."""
        paths = [(part, path) for part in sorted(files, key=SPLITS.index) for path in files[part]]
        ranges = [(part, lines) for part, path in paths for lines in line_ranges(path, params)]
        first = paths[0][1]
        types = _types(first_lines(first, params, SAMPLED), request)
        whole = request.columns.features is None and request.schema is None
        layout = JsonlLayout(types, whole, params.max_bytes, request.schema is not None)

        def blocks(names: tuple[str, ...]) -> Iterator[pa.Table]:
            return (layout.parse(lines, names) for _, lines in ranges)

        columns, table = read_schema(layout.schema, request, first, blocks)
        labelled = request.schema is None
        label = table.label if labelled else None
        for part, path in paths:
            if part == "train" or label is None:
                continue
            if label not in dict(_types(first_lines(path, params, SAMPLED), request)):
                raise unlabelled_error(label, path, first)
        chunks: dict[Any, tuple[Chunk, ...]] = {part: () for part, _ in paths}
        for part, lines in ranges:
            chunks[part] = (*chunks[part], JsonlChunk(lines, layout, columns, table, labelled))
        return Contents(
            chunks=chunks,
            columns=tuple(name for name, _ in types),
            feature_names=table.names,
            table=table,
        )


def _types(sample: LineRange, request: TableRequest) -> tuple[tuple[str, str], ...]:
    """The keys of the first lines in order, with the type that their values have."""
    found: dict[str, str] = {}
    weight = None if request.schema is None else request.schema.weight
    exact = {request.columns.group, *request.kept} - {weight}
    for number, text in enumerate(sample.read().split(b"\n")):
        if not text.strip():
            continue
        where = f"{sample.path}, line {sample.line + number}"
        for name, value in parse_object(text, where).items():
            kind = _type(value, f"{where}, column {name!r}")
            if name in exact and isinstance(value, int) and not isinstance(value, bool):
                kind = "int64"
            known = found.get(name, "null")
            if known == "null" or (known, kind) == ("int64", "double"):
                found[name] = kind
    return tuple(found.items())


def _type(value: Any, where: str) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, (int, float)):
        return "double"
    if isinstance(value, str):
        return "string"
    if isinstance(value, list):
        return "list"
    raise DataError(
        "the value is an object",
        field=where,
        value=value,
        fix="Write each of its fields as a column; a complex number as its two parts.",
    )


def _arrow(kind: str) -> pa.DataType:
    if kind == "list":
        return pa.list_(pa.float64())
    return {
        "double": pa.float64(),
        "bool": pa.bool_(),
        "string": pa.string(),
        "null": pa.null(),
    }.get(kind, pa.int64())


def _fits(value: Any, kind: str) -> bool:
    if kind == "int64":
        return isinstance(value, int) and not isinstance(value, bool)
    return kind == _type(value, "")


def parse_object(text: bytes, where: str) -> Table:
    """The object that a line holds.

    Raises:
        DataError: not JSON, not an object, or with a key twice.
    """

    def distinct(pairs: list[tuple[str, Any]]) -> Table:
        names = [name for name, _ in pairs]
        if len(set(names)) < len(names):
            twice = sorted({name for name in names if names.count(name) > 1})
            raise DataError("a key occurs twice", field=where, value=twice)
        return dict(pairs)

    try:
        row = json.loads(text, object_pairs_hook=distinct)
    except (ValueError, RecursionError) as exc:
        raise DataError(f"not JSON: {exc}", field=where, fix="Write one object a line.") from exc
    if not isinstance(row, dict):
        raise DataError("not an object", field=where, value=row, fix="Write one object a line.")
    return row

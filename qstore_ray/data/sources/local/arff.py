"""ARFF files, dense and sparse: Weka's format, in which OpenML gives out its data sets.

The header names the columns and their types; a `%` begins a comment, `?` is a missing value, names
and values may be quoted with ' or ". In a sparse row `{3 1.5, 7 yes}` what is not written is 0, or
the first of the declared values.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import pyarrow as pa

from qstore_ray.data.columns import TableSchema
from qstore_ray.data.rows.spelling import spelled
from qstore_ray.data.sources.local.arff_header import (
    Attribute,
    read_header,
    split_values,
    unquoted,
)
from qstore_ray.data.sources.local.base import Chunk, Contents, Files, TableFormat
from qstore_ray.data.sources.local.csv.chunk import check_range
from qstore_ray.data.sources.local.csv.lines import LineRange, line_ranges
from qstore_ray.data.sources.parts import SPLITS
from qstore_ray.data.tables.choose import choose, same_columns
from qstore_ray.data.tables.kinds import Survey, refuse_columns
from qstore_ray.data.tables.rows import rows_of
from qstore_ray.errors import DataError

if TYPE_CHECKING:
    from qstore_ray.data.sources.local.params import LocalParams
    from qstore_ray.data.tables.request import TableRequest
    from qstore_ray.types import AnyArray

_MISSING = "?"
_SHOWN = 10


@dataclass(frozen=True)
class ArffLayout:
    """How the lines of a file are parsed."""

    attributes: tuple[Attribute, ...]
    max_bytes: int

    def parse(self, lines: LineRange, names: Sequence[str]) -> pa.Table:
        """These columns of a range of lines, all as text.

        Raises:
            DataError: too large, a line of another number of values, or a value that the header
                does not declare.
        """
        check_range(lines, self.max_bytes)
        places = [[a.name for a in self.attributes].index(name) for name in names]
        columns: list[list[str | None]] = [[] for _ in places]
        known = [frozenset(map(spelled, attribute.values)) for attribute in self.attributes]
        for number, line in self._lines(lines):
            values = self._values(line, f"{lines.path}, line {number}")
            for column, place in zip(columns, places, strict=True):
                value = values[place]
                declared = known[place]
                if declared and value != _MISSING and spelled(value) not in declared:
                    raise _undeclared_error(
                        self.attributes[place], value, f"{lines.path}, line {number}"
                    )
                column.append(None if value == _MISSING else value)
        arrays = [pa.array(column, pa.string()) for column in columns]
        table = pa.table(arrays, names=list(names))
        if table.num_rows != lines.n_rows:
            raise DataError(f"{table.num_rows} rows in {lines.n_rows} lines", field=lines.path)
        return table

    def line_of(self, lines: LineRange, row: int) -> str:
        """File and line of the row that has this place in the range."""
        numbers = [number for number, _ in self._lines(lines)]
        return f"{lines.path}, line {numbers[row] if row < len(numbers) else lines.line}"

    def _lines(self, lines: LineRange) -> Iterator[tuple[int, str]]:
        text = lines.read().decode(errors="replace")
        for number, line in enumerate(re.split(r"\r\n|\n|\r", text), start=lines.line):
            if line.strip() and not line.startswith("%"):
                yield number, line.strip()

    def _values(self, line: str, where: str) -> list[str]:
        if line.startswith("{"):
            return self._sparse(line, where)
        values = split_values(line)
        if len(values) == len(self.attributes) + 1 and not values[-1]:
            values.pop()  # a comma at the end
        if len(values) != len(self.attributes):
            weight = len(values) == len(self.attributes) + 1 and values[-1][:1] == "{"
            raise DataError(
                f"{len(values)} values, the header declares {len(self.attributes)}",
                field=where,
                value=values[-1] if weight else None,
                fix="Write the weights of rows as a column of their own, and name it in "
                "columns.weight."
                if weight
                else "",
            )
        return values

    def _sparse(self, line: str, where: str) -> list[str]:
        values = [attribute.zero for attribute in self.attributes]
        body = line.strip().removeprefix("{").partition("}")[0].strip()
        for pair in _pairs(body):
            place, _, value = pair.strip().partition(" ")
            if not place.isdigit() or int(place) >= len(values):
                raise DataError("not a pair of place and value", field=where, value=pair)
            values[int(place)] = unquoted(value.strip())
        return values


@dataclass(frozen=True)
class ArffChunk:
    """A range of lines of an ARFF file."""

    lines: LineRange
    layout: ArffLayout
    schema: TableSchema
    labelled: bool
    kept: tuple[str, ...] = ()

    @property
    def n_rows(self) -> int:
        """Rows N."""
        return self.lines.n_rows

    def read(self) -> dict[str, AnyArray]:
        """The columns x (N, F), y (N,), group and unlabelled of the rows, as they are asked for."""
        return rows_of(self.table(), self.schema, self.where, labelled=self.labelled)

    def table(self) -> pa.Table:
        """The columns that are read, all as text."""
        own = (self.schema.label, self.schema.group, self.schema.weight)
        extra = own if self.labelled else self.kept
        names = (*self.schema.names, *(name for name in extra if name is not None))
        return self.layout.parse(self.lines, tuple(dict.fromkeys(names)))

    def where(self, row: int) -> str:
        """File and line of a row."""
        return self.layout.line_of(self.lines, row)


class ArffFormat(TableFormat):
    """ARFF files with the same attributes."""

    takes: ClassVar[frozenset[str]] = frozenset(
        {"label_type", "missing", "encoding", "max_line_bytes", "max_columns"}
    )

    def open(self, files: Files, params: LocalParams, request: TableRequest) -> Contents:
        """Ranges of lines; one pass over each file finds where they are, a second its texts."""
        opened = []
        for part in sorted(files, key=SPLITS.index):
            for path in files[part]:
                attributes, skipped = read_header(path, params)
                ranges = tuple(line_ranges(path, params, skipped=skipped, comment=b"%"))
                opened.append((part, path, ArffLayout(attributes, params.max_bytes), ranges))
        _, first, layout, _ = opened[0]
        names = [attribute.name for attribute in layout.attributes]
        chosen = choose(names, request, first)
        table = request.schema
        if table is None:
            for _, path, other, _ in opened[1:]:
                others = [a.name for a in other.attributes]
                same_columns(others, names, path, first, chosen.label)
            dates = {a.name: "date" for a in layout.attributes if a.date}
            refuse_columns({n: dates[n] for n in chosen.features if n in dates}, first)
            number = {a.name for a in layout.attributes if a.number}
            survey = Survey(
                chosen,
                request,
                numbers=number,
                numeric_label=chosen.label in number,
            )
            looked_at = survey.columns
            for _, _, other, ranges in opened:
                for lines in ranges if looked_at else ():
                    survey.add(other.parse(lines, looked_at))
            table = survey.schema(first)
        chunks: dict[Any, tuple[Chunk, ...]] = {part: () for part, *_ in opened}
        for part, _, other, ranges in opened:
            whole = request.schema is None
            made = (ArffChunk(lines, other, table, whole, chosen.kept) for lines in ranges)
            chunks[part] = (*chunks[part], *made)
        return Contents(chunks=chunks, columns=tuple(names), feature_names=table.names, table=table)


def _undeclared_error(attribute: Attribute, value: str, where: str) -> DataError:
    return DataError(
        "the header does not declare this value",
        field=f"{where}, column {attribute.name!r}",
        value=value,
        fix=f"Write one of {', '.join(map(repr, attribute.values[:_SHOWN]))}, or declare it.",
    )


def _pairs(body: str) -> list[str]:
    """The pairs of a sparse row, cut at commas that are not within quotes."""
    pattern = r"""(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[^,])+"""
    return [pair for pair in re.findall(pattern, body) if pair.strip()]

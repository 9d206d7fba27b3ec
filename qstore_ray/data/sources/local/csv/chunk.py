"""A range of lines of a CSV file: parsed by pyarrow, and where it refuses, the fault named.

pyarrow is quick and its errors are short; where it refuses a range, the range is read again value
by value to say in which line and column the fault is.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.csv

from qstore_ray.data.columns import TableSchema
from qstore_ray.data.sources.local.csv.dialect import Dialect
from qstore_ray.data.sources.local.csv.lines import LineRange
from qstore_ray.data.sources.local.held import Held
from qstore_ray.data.tables.rows import not_a_number_error, rows_of
from qstore_ray.errors import DataError

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray

_BLOCK = 2**20  # stays in the cache; a line in another encoding may grow by 3 as UTF-8
_TEXT = pa.dictionary(pa.int32(), pa.string())


@dataclass(frozen=True)
class CsvLayout:
    """How the lines of a file are parsed.

    Args:
        names: of all values of a line.
        read: the columns to read.
        numbers: those of them that are numbers; the others are texts.
        dialect: delimiter, decimal sign, comments.
        missing: texts that stand for a missing number.
        max_bytes: largest range.
        others: further columns of numbers, which are read as texts first: label and weight.
        learnt: whether a model has learnt the columns, and rows are to predict on.
    """

    names: tuple[str, ...]
    read: tuple[str, ...]
    numbers: frozenset[str]
    dialect: Dialect
    missing: tuple[str, ...]
    max_bytes: int
    others: frozenset[str] = frozenset()
    learnt: bool = False

    def parse(self, lines: LineRange) -> pa.Table:
        """The columns to read of a range of lines, numbers as float64 and the others as texts.

        Raises:
            DataError: too large, or not CSV, or a text where a number is due.
        """
        check_range(lines, self.max_bytes)
        content = lines.read()
        # pyarrow knows no signs between digits: with these, numbers are read as texts first.
        numbers = frozenset() if self.dialect.thousands else self.numbers
        plain = self.dialect.plain(content)
        try:
            table = self._read(plain, numbers, lines.longest)
        except pa.ArrowException as exc:
            try:
                table = self._with_blanks(self._read(plain, frozenset(), lines.longest))
            except (pa.ArrowException, ValueError):
                raise self._chunk_error(lines, content, str(exc)) from exc
        if table.num_rows != lines.n_rows:
            reason = f"{table.num_rows} rows in {lines.n_rows} lines"
            raise self._chunk_error(lines, content, reason)
        return self._plain_numbers(table)

    def _read(self, plain: bytes, numbers: frozenset[str], longest: int) -> pa.Table:
        """The columns to read, `numbers` as float64 and the others as texts."""
        return pyarrow.csv.read_csv(
            pa.BufferReader(plain),
            pyarrow.csv.ReadOptions(
                use_threads=False,
                block_size=min(len(plain) + 1, max(_BLOCK, 3 * longest + 3)),
                column_names=list(self.names),
            ),
            pyarrow.csv.ParseOptions(delimiter=self.dialect.comma, newlines_in_values=True),
            pyarrow.csv.ConvertOptions(
                column_types={n: pa.float64() if n in numbers else _TEXT for n in self.read},
                include_columns=list(self.read),
                null_values=list(self.missing),
                strings_can_be_null=False,
                decimal_point=self.dialect.decimal,
            ),
        )

    def _with_blanks(self, table: pa.Table) -> pa.Table:
        """The table with its numbers as float64, where blanks are around a missing value.

        pyarrow takes blanks away from a number, but not from what stands for none.

        Raises:
            ValueError: a text is neither a number nor a missing value.
        """
        for place, name in enumerate(table.column_names):
            if name not in self.numbers or not len(table):
                continue
            whole = table.column(place).combine_chunks()
            texts = [text.strip(" \t") for text in whole.dictionary.to_pylist()]
            if not all(map(self._is_number, texts)):
                raise ValueError(name)
            values = pa.array(
                [None if t in self.missing else float(self.dialect.number(t)) for t in texts],
                pa.float64(),
            )
            table = table.set_column(place, name, values.take(whole.indices))
        return table

    def _plain_numbers(self, table: pa.Table) -> pa.Table:
        """The table with the numbers among its texts as Python writes them."""
        if not self.dialect.thousands and self.dialect.decimal == ".":
            return table
        for place, name in enumerate(table.column_names):
            kind = table.schema.field(place).type
            if name in self.numbers | self.others and kind == _TEXT and len(table):
                whole = table.column(place).combine_chunks()
                texts = [self.dialect.number(text) for text in whole.dictionary.to_pylist()]
                written = pa.array(texts, pa.string())
                made = pa.DictionaryArray.from_arrays(whole.indices, written)
                table = table.set_column(place, name, pa.chunked_array([made]))
        return table

    def line_of(self, lines: LineRange, row: int) -> str:
        """File and line of the row that has this place in the range."""
        found = list(self.dialect.records(lines.read(), lines.line))
        return f"{lines.path}, line {found[row][0] if row < len(found) else lines.line}"

    def _chunk_error(self, lines: LineRange, content: bytes, reason: str) -> DataError:
        """The error that names the first line and column which are wrong."""
        path = lines.path
        try:
            for line, values in self.dialect.records(content, lines.line):
                if len(values) != len(self.names):
                    many = "s" * (len(values) != 1)
                    return DataError(
                        f"{len(values)} value{many}, the first line has {len(self.names)}",
                        field=f"{path}, line {line}",
                        fix="Give every line the same number of values; remove a line that is no "
                        "row, such as a note below the table.",
                    )
                row = dict(zip(self.names, values, strict=True))
                for name in self.read:
                    if name in self.numbers and not self._is_number(row[name]):
                        at = f"{path}, line {line}, column {name!r}"
                        text = row[name].strip(" \t")
                        return not_a_number_error(text, at, self.missing, name, learnt=self.learnt)
        except csv.Error as exc:
            reason = str(exc)
        return DataError(
            f"not a CSV file: {reason}",
            field=f"{path}, from line {lines.line}",
            fix="Lines end with \\n, values are quoted with double quotes.",
        )

    def _is_number(self, value: str) -> bool:
        written = value.strip(" \t")  # what pyarrow takes away; other blanks stay
        return written in self.missing or self.dialect.is_number(written)


@dataclass(frozen=True)
class CsvChunk:
    """A range of lines of a CSV file, and what the columns mean."""

    lines: LineRange
    layout: CsvLayout
    schema: TableSchema
    labelled: bool
    held: Held = field(default_factory=Held, compare=False, repr=False)

    @property
    def n_rows(self) -> int:
        """Rows N."""
        return self.lines.n_rows

    def read(self) -> dict[str, AnyArray]:
        """The columns x (N, F), y (N,), group and unlabelled of the rows, as they are asked for."""
        if (rows := self.held.rows()) is not None:
            return rows
        table = self.held.table()
        again = table is None
        if table is None:
            table = self.table()
        rows = rows_of(table, self.schema, self.where, labelled=self.labelled)
        if not again:
            self.held.replace(rows)
        return rows

    def table(self) -> pa.Table:
        """The columns that are read: numbers as float64, and texts."""
        return self.layout.parse(self.lines)

    def where(self, row: int) -> str:
        """File and line of a row."""
        return self.layout.line_of(self.lines, row)


def check_range(lines: LineRange, max_bytes: int) -> None:
    """Raise `DataError` where a range is more than one task may read."""
    if lines.stop - lines.start > min(max_bytes, 2**31 - 2):
        raise DataError(
            f"{lines.n_rows:,} lines are {lines.stop - lines.start:,} bytes",
            field=f"{lines.path}, from line {lines.line}",
            fix="Set params.rows_per_task lower.",
        )

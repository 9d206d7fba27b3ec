"""CSV files, cut into ranges of lines and read by pyarrow.

Features are float64, whatever they look like, so that every range has the same types; an empty
value or `NA` is NaN. pyarrow is quick and its errors are short; where it refuses a range, the range
is read again value by value to say in which line and column the fault is.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.csv

from qstore_ray.data.frame import Frame
from qstore_ray.data.sources.base import ColumnsConfig
from qstore_ray.data.sources.local.base import Chunk, Contents, Files, Format
from qstore_ray.data.sources.local.lines import LineRange, cut_lines
from qstore_ray.data.sources.local.table import (
    LABEL_TYPES,
    Chosen,
    LabelType,
    choose,
    is_number,
    label_type_of,
    rows_of,
    same_columns,
)
from qstore_ray.errors import DataError

if TYPE_CHECKING:
    from qstore_ray.data.signature import Signature
    from qstore_ray.data.sources.local.params import LocalParams
    from qstore_ray.types import AnyArray

_MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "NULL")


@dataclass(frozen=True)
class CsvChunk:
    """A range of lines of a CSV file."""

    lines: LineRange
    names: tuple[str, ...]
    chosen: Chosen
    label_type: LabelType
    delimiter: str
    max_bytes: int

    @property
    def n_rows(self) -> int:
        """Rows N."""
        return self.lines.n_rows

    def read(self) -> tuple[AnyArray, AnyArray] | tuple[AnyArray, AnyArray, AnyArray]:
        """Features float64 (N, F), labels (N,) and maybe groups (N,) of the rows."""
        check_range(self.lines, self.max_bytes)
        content = self.lines.read()
        types = dict.fromkeys(self.chosen.names, pa.string())
        types |= dict.fromkeys(self.chosen.features, pa.float64())
        types[self.chosen.label] = LABEL_TYPES[self.label_type]
        try:
            table = pyarrow.csv.read_csv(
                pa.BufferReader(content),
                pyarrow.csv.ReadOptions(
                    use_threads=False,
                    block_size=len(content) + 1,
                    column_names=list(self.names),
                ),
                pyarrow.csv.ParseOptions(delimiter=self.delimiter, newlines_in_values=True),
                pyarrow.csv.ConvertOptions(
                    column_types=types,
                    include_columns=list(self.chosen.names),
                    null_values=list(_MISSING),
                ),
            )
        except pa.ArrowException as exc:
            raise self._fault(content, str(exc)) from exc
        if table.num_rows != self.n_rows:
            raise self._fault(content, f"{table.num_rows} rows in {self.n_rows} lines")
        where = f"{self.lines.path}, from line {self.lines.line}"
        return rows_of(table, self.chosen, np.dtype(np.float64), where)

    def _fault(self, content: bytes, reason: str) -> DataError:
        """The error that names the first line and column which are wrong."""
        path = self.lines.path
        try:
            for line, values in _rows(content, self.delimiter, self.lines.line):
                if len(values) != len(self.names):
                    return DataError(
                        f"{len(values)} values, the first line has {len(self.names)}",
                        field=f"{path}, line {line}",
                        fix="Give every line the same number of values.",
                    )
                row = dict(zip(self.names, values, strict=True))
                for name in (*self.chosen.features, self.chosen.label):
                    if found := self._wrong(name, row[name]):
                        return DataError(
                            found[0],
                            field=f"{path}, line {line}, column {name!r}",
                            value=row[name],
                            fix=found[1],
                        )
        except csv.Error as exc:
            reason = str(exc)
        return DataError(
            f"not a CSV file: {reason}",
            field=f"{path}, from line {self.lines.line}",
            fix="Lines end with \\n, values are quoted with double quotes.",
        )

    def _wrong(self, name: str, value: str) -> tuple[str, str] | None:
        if name != self.chosen.label:
            good = value in _MISSING or is_number(value)
            fix = "Write a number, or leave the column out with columns.features."
            return None if good else ("a feature is not a number", fix)
        fix = 'Set params.label_type = "text" if labels are text.'
        if self.label_type == "text" or label_type_of([value]) == self.label_type:
            return None
        return f"the label is not a {self.label_type}, as the first ones are", fix


class CsvFormat(Format):
    """CSV files with one line a row; all files have the same columns."""

    tabular: ClassVar[bool] = True
    takes: ClassVar[frozenset[str]] = frozenset(
        {"delimiter", "header", "encoding", "label_type", "max_line_bytes", "max_columns"}
    )

    def open(
        self, root: str, files: Files, params: LocalParams, columns: ColumnsConfig | None
    ) -> Contents:
        """Ranges of lines; one pass over each file finds where they are."""
        first: str = files["train"][0]
        names: tuple[str, ...] = ()
        chosen: Chosen | None = None
        label_type: LabelType = "text"
        chunks: dict[str, tuple[Chunk, ...]] = {}
        for part in sorted(files, key=("train", "val", "test").index):
            for path in files[part]:
                delimiter = params.delimiter or ("\t" if path.endswith(".tsv") else ",")
                cut = cut_lines(path, params, quotes=True, header=params.header)
                found = _names(cut.head, delimiter, params.header, path)
                if chosen is None:
                    chosen = choose(found, columns, params, path)
                    names = found
                    label_type = _label_type(cut.sample, names, chosen.label, delimiter, params)
                same_columns(found, names, path, first)
                made = (
                    CsvChunk(lines, names, chosen, label_type, delimiter, params.max_bytes)
                    for lines in cut.ranges
                )
                chunks[part] = (*chunks.get(part, ()), *made)
        features = () if chosen is None else chosen.features
        return Contents(
            chunks={part: chunks[part] for part in files},
            feature_names=features,
            notes={"labels": f"{label_type} labels"},
        )

    def unlabelled(self, files: Sequence[str], params: LocalParams, signature: Signature) -> Frame:
        """Every column as text, to be read by the model's schema."""
        names: tuple[str, ...] = ()
        tables = []
        for path in files:
            delimiter = params.delimiter or ("\t" if path.endswith(".tsv") else ",")
            cut = cut_lines(path, params, quotes=True, header=params.header)
            found = _names(cut.head, delimiter, params.header, path)
            names = names or found
            same_columns(found, names, path, files[0])
            tables += [_texts(lines, len(names), delimiter, params) for lines in cut.ranges]
        if not tables:
            raise DataError(
                "there are no rows",
                field="params.path",
                value=files[0],
                fix="Give at least one row.",
            )
        table = pa.concat_tables(tables)
        return Frame(names, lambda name: table.column(names.index(name)))


def _texts(lines: LineRange, width: int, delimiter: str, params: LocalParams) -> pa.Table:
    check_range(lines, params.max_bytes)
    content = lines.read()
    places = [str(place) for place in range(width)]
    try:
        return pyarrow.csv.read_csv(
            pa.BufferReader(content),
            pyarrow.csv.ReadOptions(
                use_threads=False, block_size=len(content) + 1, column_names=places
            ),
            pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(places, pa.string())),
        )
    except pa.ArrowException as exc:
        raise DataError(
            f"not a CSV file: {exc}", field=f"{lines.path}, from line {lines.line}"
        ) from exc


def check_range(lines: LineRange, max_bytes: int) -> None:
    """Raise `DataError` where a range is more than one task may read."""
    if lines.stop - lines.start > min(max_bytes, 2**31 - 2):
        raise DataError(
            f"{lines.n_rows:,} lines are {lines.stop - lines.start:,} bytes",
            field=f"{lines.path}, from line {lines.line}",
            fix="Set params.rows_per_task lower.",
        )


def _rows(content: bytes, delimiter: str, line: int) -> Iterator[tuple[int, list[str]]]:
    """Line numbers and values of the records in `content`."""
    reader = csv.reader(
        io.StringIO(content.decode(errors="replace"), newline=""), delimiter=delimiter
    )
    before = 0
    for values in reader:
        if values:
            yield line + before, values
        before = reader.line_num


def _names(head: str, delimiter: str, header: bool, path: str) -> tuple[str, ...]:
    try:
        values = next(csv.reader(io.StringIO(head, newline=""), delimiter=delimiter))
    except (csv.Error, StopIteration) as exc:
        raise DataError(
            f"the first line is not CSV: {exc}", field=f"{path}, line 1", fix="Check params.format."
        ) from exc
    for sign, written in ((";", ";"), ("\t", "\\t"), ("|", "|")):
        if len(values) == 1 and sign in values[0]:
            raise DataError(
                "the first line is one value, which could be several",
                field=f"{path}, line 1",
                value=values[0],
                fix=f'Set params.delimiter = "{written}".',
            )
    if not header:
        return tuple(f"f{position}" for position in range(len(values)))
    return tuple(value.strip() for value in values)


def _label_type(
    sample: LineRange, names: Sequence[str], label: str, delimiter: str, params: LocalParams
) -> LabelType:
    if params.label_type != "auto":
        return params.label_type
    position = list(names).index(label)
    try:
        texts = [
            values[position]
            for _, values in _rows(sample.read(), delimiter, 1)
            if len(values) == len(names)
        ]
    except csv.Error as exc:
        raise DataError(f"not a CSV file: {exc}", field=sample.path) from exc
    return label_type_of(texts)

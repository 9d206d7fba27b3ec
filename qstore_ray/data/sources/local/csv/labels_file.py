"""A text file of labels, one a line, for the rows of another file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from qstore_ray.data.columns import LabelKind
from qstore_ray.data.sources.local.csv.chunk import CsvChunk, CsvLayout
from qstore_ray.data.sources.local.csv.csv import head_of
from qstore_ray.data.sources.local.csv.dialect import dialect_of
from qstore_ray.data.sources.local.csv.lines import SAMPLED, LineRange, first_lines, line_ranges
from qstore_ray.data.tables.choose import Chosen
from qstore_ray.data.tables.header import names_of
from qstore_ray.data.tables.kinds import Survey
from qstore_ray.data.tables.names import LABELS, is_unnamed
from qstore_ray.data.tables.request import TableRequest
from qstore_ray.errors import DataError

if TYPE_CHECKING:
    from qstore_ray.data.sources.local.params import LocalParams


LABEL = "label"


class LabelsFile(NamedTuple):
    """A file of labels: how it is parsed, its column, and its ranges of lines."""

    layout: CsvLayout
    name: str
    numeric: bool
    ranges: Sequence[LineRange]


def open_labels(
    x_path: str, path: str, x: Sequence[CsvChunk], params: LocalParams, request: TableRequest
) -> LabelsFile:
    """The file of the labels of the rows of `x`.

    Raises:
        DataError: another number of labels than of rows, or several columns.
    """
    dialect = dialect_of(path, head_of(path, params), params)
    sign, comment = dialect.sign, dialect.comment.encode()
    n_rows = sum(chunk.n_rows for chunk in x)
    every = line_ranges(path, params, delimiter=sign, comment=comment)
    n_lines = sum(lines.n_rows for lines in every)
    if n_lines not in (n_rows, n_rows + 1):
        raise DataError(
            f"{file_name(x_path)} has {n_rows:,} rows and {file_name(path)} has {n_lines:,} labels",
            field="params.path",
            value=path,
            fix="Give files with one label for each row, in the same order.",
        )
    header = n_lines > n_rows
    sample = first_lines(path, params, SAMPLED + 1, delimiter=sign, comment=comment)
    first, *rows = (values for _, values in dialect.records(sample.read(), sample.line))
    names = names_of(first, rows, header, path)
    column = _column(names, path)
    place = names.index(column)
    texts = [row[place].strip() for row in (rows if header else [first, *rows]) if place < len(row)]
    known = [text for text in texts if text not in request.missing]
    numeric = sum(map(dialect.is_number, known)) * 2 > len(known)
    layout = CsvLayout(
        names=names,
        read=(column,),
        numbers=frozenset(),
        dialect=dialect,
        missing=request.missing,
        max_bytes=params.max_bytes,
        others=frozenset((column,) if numeric else ()),
    )
    ranges = tuple(line_ranges(path, params, skipped=int(header), delimiter=sign, comment=comment))
    own_name = header and not column.isdigit()
    return LabelsFile(layout, column if own_name else LABEL, numeric, ranges)


def _column(names: Sequence[str], path: str) -> str:
    """The one column of labels, beside an index without a name."""
    named = [name for name in names if not is_unnamed(name)]
    usual = [name for name in named if name.strip().lower() in LABELS]
    for found in (named, usual):
        if len(found) == 1:
            return found[0]
    raise DataError(
        f"{file_name(path)} has {len(names)} columns, and labels are one",
        field="params.path",
        value=list(names),
        fix="Write one label in each line; several labels of a row as columns of one array in an "
        ".npz file.",
    )


def kind_of_labels(opened: Any, request: TableRequest) -> LabelKind:
    """What the labels of all files are."""
    files: list[LabelsFile] = list(opened)
    numeric = all(file.numeric for file in files)
    survey = Survey(Chosen((), LABEL), request, numeric_label=numeric)
    for file in files:
        for lines in file.ranges:
            survey.add(file.layout.parse(lines).rename_columns([LABEL]))
    return survey.kind_of_label()


def file_name(path: str) -> str:
    """The last part of a path or a URI."""
    return path.rpartition("/")[2]

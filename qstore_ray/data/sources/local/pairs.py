"""Features in one text file and the labels of the same rows in another: X_train.txt, y_train.txt.

Both are read as CSV files are, and joined row by row. The labels file has a header if it has one
record more than there are rows; another difference is an error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from qstore_ray.data.columns import LabelKind, TableSchema
from qstore_ray.data.files.files import absolute
from qstore_ray.data.sources.local.base import Chunk, Contents, Files
from qstore_ray.data.sources.local.csv.chunk import CsvChunk, CsvLayout
from qstore_ray.data.sources.local.csv.csv import CsvFormat, head_of
from qstore_ray.data.sources.local.csv.dialect import dialect_of
from qstore_ray.data.sources.local.csv.lines import SAMPLED, LineRange, first_lines, line_ranges
from qstore_ray.data.sources.parts import Split
from qstore_ray.data.tables.choose import Chosen
from qstore_ray.data.tables.header import names_of
from qstore_ray.data.tables.kinds import Survey
from qstore_ray.data.tables.names import LABELS, is_unnamed
from qstore_ray.data.tables.request import TableRequest
from qstore_ray.errors import ConfigError, DataError

if TYPE_CHECKING:
    import pyarrow as pa

    from qstore_ray.data.sources.local.params import LocalParams
    from qstore_ray.types import AnyArray

LABEL = "label"


@dataclass(frozen=True)
class PairChunk:
    """The same rows of a file of features and of a file of labels."""

    x: CsvChunk
    y: CsvChunk

    @property
    def n_rows(self) -> int:
        """Rows N."""
        return self.x.n_rows

    def read(self) -> dict[str, AnyArray]:
        """The columns x (N, F), y (N,), and group, weight and unlabelled if there are such."""
        labels = self.y.read()
        del labels["x"]
        return {**self.x.read(), **labels}

    def table(self) -> pa.Table:
        """The columns of features that are read."""
        return self.x.table()

    def where(self, row: int) -> str:
        """File of the features, and line of a row."""
        return self.x.where(row)


class _LabelsFile(NamedTuple):
    """A file of labels: how it is parsed, its column, and its ranges of lines."""

    layout: CsvLayout
    name: str
    numeric: bool
    ranges: Sequence[LineRange]


def labels_of_files(
    name: str, files: tuple[str, ...], labels: Mapping[str, str], params: LocalParams
) -> Mapping[str, str]:
    """The file of labels of each text file: those found beside them, or `params.y_path`.

    Args:
        name: the format of the files.
        labels: as `data_files` found them.

    Raises:
        ConfigError: one file of labels for several files, or pairs of another format.
    """
    if name == "csv" and params.y_path is not None:
        if len(files) > 1:
            raise ConfigError(
                f"one file of labels belongs to one file, not to {len(files)}",
                field="params.y_path",
                value=params.y_path,
                fix="Give one file as params.path, or a folder with X_train and y_train.",
            )
        return {files[0]: absolute(params.y_path)}
    if labels and name != "csv":
        raise ConfigError(
            f"the labels are in {', '.join(map(_name, labels.values()))}, and files of the format "
            f"{name} have their own",
            field="params.format",
            value=name,
            fix="Leave it out, or give a pattern that takes one of the files alone.",
        )
    return labels


def open_pairs(
    files: Files, labels: Mapping[str, str], params: LocalParams, request: TableRequest
) -> Contents:
    """The chunks of files of features, with the labels of their rows.

    Args:
        files: the files of features of each part.
        labels: the file of labels of each of them.

    Raises:
        ConfigError: a label column is named.
        DataError: as `TableFormat.open`; another number of labels than of rows.
    """
    shown = _name(next(iter(labels.values())))
    if request.columns.label is not None:
        raise ConfigError(
            f"the labels are in {shown}, in a file of their own",
            field="columns.label",
            value=request.columns.label,
            fix="Leave it out.",
        )
    found = CsvFormat().open(files, params, replace(request, labelled=False))
    table = found.table
    assert table is not None, "a CSV file has columns"
    _check_no_label(table, request, shown)
    chunks: dict[Split, list[tuple[CsvChunk, LineRange, CsvLayout]]] = {}
    opened: dict[str, _LabelsFile] = {}
    for part, those in found.chunks.items():
        of_file: dict[str, list[CsvChunk]] = {}
        for chunk in those:
            assert isinstance(chunk, CsvChunk)
            of_file.setdefault(chunk.lines.path, []).append(chunk)
        for path, ours in of_file.items():
            own = opened[path] = _opened(path, labels[path], ours, params, request)
            pairs = zip(ours, own.ranges, strict=True)
            chunks.setdefault(part, []).extend((c, lines, own.layout) for c, lines in pairs)
    kind = _kind(opened.values(), request)
    name = next(iter(opened.values())).name
    plain = TableSchema((), missing=request.missing, label_kind=kind)
    made: dict[Split, tuple[Chunk, ...]] = {
        part: tuple(
            PairChunk(x, CsvChunk(lines, layout, replace(plain, label=layout.read[0]), True))
            for x, lines, layout in those
        )
        for part, those in chunks.items()
    }
    said = ", ".join(_name(labels[path]) for path in opened)
    return Contents(
        chunks=made,
        columns=found.columns,
        feature_names=found.feature_names,
        table=replace(table, label=name, label_kind=kind),
        notes={**found.notes, "labels": f"{kind} labels from {said}"},
    )


def read_labels(chunks: Sequence[Any]) -> list[AnyArray]:
    """The labels (N,) of chunks of `open_pairs`, in order.

    Raises:
        DataError: a label that is missing, or no label as the others are.
    """
    found = []
    for chunk in chunks:
        rows = chunk.y.read()
        if "unlabelled" in rows:
            raise DataError(
                "a label is missing",
                field=chunk.y.where(int(rows["unlabelled"].argmax())),
                fix="Remove the row from both files, or fill in its label.",
            )
        found.append(rows["y"])
    return found


def _opened(
    x_path: str, path: str, x: Sequence[CsvChunk], params: LocalParams, request: TableRequest
) -> _LabelsFile:
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
            f"{_name(x_path)} has {n_rows:,} rows and {_name(path)} has {n_lines:,} labels",
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
    return _LabelsFile(layout, column if own_name else LABEL, numeric, ranges)


def _column(names: Sequence[str], path: str) -> str:
    """The one column of labels, beside an index without a name."""
    named = [name for name in names if not is_unnamed(name)]
    usual = [name for name in named if name.strip().lower() in LABELS]
    for found in (named, usual):
        if len(found) == 1:
            return found[0]
    raise DataError(
        f"{_name(path)} has {len(names)} columns, and labels are one",
        field="params.path",
        value=list(names),
        fix="Write one label in each line; several labels of a row as columns of one array in an "
        ".npz file.",
    )


def _kind(opened: Any, request: TableRequest) -> LabelKind:
    """What the labels of all files are."""
    files: list[_LabelsFile] = list(opened)
    numeric = all(file.numeric for file in files)
    survey = Survey(Chosen((), LABEL), request, numeric_label=numeric)
    for file in files:
        for lines in file.ranges:
            survey.add(file.layout.parse(lines).rename_columns([LABEL]))
    return survey.kind_of_label()


def _check_no_label(table: TableSchema, request: TableRequest, labels: str) -> None:
    """Raise `DataError` if a feature has a usual name of labels: it may be the answer."""
    usual = [name for name in table.names if name.strip().lower() in LABELS]
    if usual and table.header and request.columns.features is None:
        raise DataError(
            f"the labels are in {labels}, and there is a column {usual[0]!r} beside the features",
            field="columns",
            value=usual,
            fix=f'Leave it out: columns.exclude = ["{usual[0]}"]; or list the features in '
            "columns.features.",
        )


def _name(path: str) -> str:
    return path.rpartition("/")[2]

"""Features in one text file and the labels of the same rows in another: X_train.txt, y_train.txt.

Both are read as CSV files are, and joined row by row. The labels file has a header if it has one
record more than there are rows; another difference is an error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from qstore_ray.data.columns import TableSchema
from qstore_ray.data.files.files import absolute
from qstore_ray.data.sources.local.base import Chunk, Contents, Files
from qstore_ray.data.sources.local.csv.chunk import CsvChunk, CsvLayout
from qstore_ray.data.sources.local.csv.csv import CsvFormat
from qstore_ray.data.sources.local.csv.labels_file import (
    LabelsFile,
    file_name,
    kind_of_labels,
    open_labels,
)
from qstore_ray.data.sources.local.csv.lines import LineRange
from qstore_ray.data.sources.parts import Split
from qstore_ray.data.tables.names import LABELS
from qstore_ray.data.tables.request import TableRequest
from qstore_ray.errors import ConfigError, DataError

if TYPE_CHECKING:
    import pyarrow as pa

    from qstore_ray.data.sources.local.params import LocalParams
    from qstore_ray.types import AnyArray


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
            f"the labels are in {', '.join(map(file_name, labels.values()))}, and files of the "
            f"format {name} have their own",
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
    shown = file_name(next(iter(labels.values())))
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
    opened: dict[str, LabelsFile] = {}
    for part, those in found.chunks.items():
        of_file: dict[str, list[CsvChunk]] = {}
        for chunk in those:
            assert isinstance(chunk, CsvChunk)
            of_file.setdefault(chunk.lines.path, []).append(chunk)
        for path, ours in of_file.items():
            own = opened[path] = open_labels(path, labels[path], ours, params, request)
            pairs = zip(ours, own.ranges, strict=True)
            chunks.setdefault(part, []).extend((c, lines, own.layout) for c, lines in pairs)
    kind = kind_of_labels(opened.values(), request)
    name = next(iter(opened.values())).name
    plain = TableSchema((), missing=request.missing, label_kind=kind)
    made: dict[Split, tuple[Chunk, ...]] = {
        part: tuple(
            PairChunk(x, CsvChunk(lines, layout, replace(plain, label=layout.read[0]), True))
            for x, lines, layout in those
        )
        for part, those in chunks.items()
    }
    said = ", ".join(file_name(labels[path]) for path in opened)
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

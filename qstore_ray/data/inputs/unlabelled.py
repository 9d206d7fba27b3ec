"""Files to predict on or to score: read by the code and the settings that training files are.

The model's own reader settings (delimiter, header, size of images, …) are the default; a label, an
id or any other column that is no feature may be there, or not.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
import pyarrow as pa

from qstore_ray.data.inputs.frame import Frame
from qstore_ray.data.inputs.signature import Signature
from qstore_ray.data.rows.raw import read_raw
from qstore_ray.data.sources.base import ReadTask, SourceConfig
from qstore_ray.data.sources.local.adapter import (
    LocalFilesSourceAdapter,
    check_taken,
    data_files,
    format_name,
    format_of,
    open_format,
    request_of,
    taken_by,
)
from qstore_ray.data.sources.local.base import Contents, TableChunk, TableFormat, joined
from qstore_ray.data.sources.local.libsvm import LABEL, LibsvmFormat
from qstore_ray.data.sources.local.pairs import labels_of_files, open_pairs, read_labels
from qstore_ray.data.sources.local.params import LocalParams
from qstore_ray.data.sources.parts import PartFiles, divide_files
from qstore_ray.data.tables.names import LABELS
from qstore_ray.errors import ConfigError, DataError, unknown_name_error

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, Table


_USUAL = tuple(form for name in LABELS for form in (name, name.title(), name.upper()))
"""The usual names of labels, as they are written."""


class Unlabelled(NamedTuple):
    """Rows of files, as `Signature.raw` takes them.

    Args:
        rows: a table with every column there is, or an array (N, …).
        files: where the rows are from; of images, one a row.
        params: how they were read.
    """

    rows: Frame | AnyArray
    files: tuple[str, ...]
    params: LocalParams


def read_unlabelled(
    path: str,
    signature: Signature,
    changes: Table | None = None,
    kept: tuple[str, ...] = (),
) -> Unlabelled:
    """The rows of a file, a folder, a pattern or a URI, without labels.

    Args:
        signature: of the model that the rows are for.
        changes: parameters of the source `local` in place of the model's own.
        kept: columns that are read beside the features, if they exist.

    Raises:
        ConfigError: a parameter that does not exist, or that the format does not take.
        DataError: nothing there, of no known format, damaged, or without rows.
    """
    changes = dict(changes or {})
    found = data_files(path, changes.get("y_path")).files
    params = params_for(found, signature, changes)
    name = format_name(found, params)
    form = open_format(name)
    found = form.rows_in(found)
    check_taken(name, form, _made(changes), SourceConfig(name="rows"))
    rows: Frame | AnyArray
    if isinstance(form, TableFormat):
        rows = _frame(form, found, params, signature, kept)
    else:
        rows = array = form.unlabelled(found, params, signature)
        if not (array.ndim and len(array)):
            raise _no_rows_error(path)
    return Unlabelled(rows, found, params)


class Labelled(NamedTuple):
    """Rows of files with labels.

    Args:
        rows: a table with its label column, or an array (N, …).
        y: labels (N,) or (N, T) of an array; None where the table has them.
    """

    rows: Frame | AnyArray
    y: AnyArray | None


def read_labelled(
    path: str,
    signature: Signature,
    label: str | None,
    split: str,
    changes: Table | None = None,
) -> Labelled:
    """The rows of a file, a folder or a pattern with their labels, to score a model on.

    Args:
        label: the column of labels, where the files have columns.
        split: which part is taken where the files have official parts; else all rows are.

    Raises:
        ConfigError, DataError: as `read_unlabelled`; no labels.
    """
    changes = dict(changes or {})
    root, found, _, labels = data_files(path, changes.get("y_path"))
    params = params_for(found, signature, changes)
    name = format_name(found, params)
    labels = labels_of_files(name, found, labels, params)
    if labels:
        those = divide_files(root, found, by_names=True, listed=path)
        return _of_pairs(those, labels, params, signature, split)
    if isinstance(open_format(name), TableFormat):
        weight = None if signature.table is None else signature.table.weight
        usual = _USUAL if label is None else (label,)
        kept = (*usual, *(() if weight is None else (weight,)))
        return Labelled(read_unlabelled(path, signature, changes, kept).rows, None)
    given = LocalParams(**{**params.to_dict(), "path": path})
    source = LocalFilesSourceAdapter().read(given, SourceConfig(name="rows"))
    parts: dict[Any, tuple[ReadTask, ...]] = {"train": source.tasks, **source.official}
    if source.official and split not in parts:
        raise unknown_name_error("part of these files", split, parts, field="split")
    blocks = [read_raw(task, several=True) for task in parts[split if source.official else "train"]]
    x, y = (joined(part) for part in zip(*((raw.x, raw.y) for raw in blocks), strict=True))
    return Labelled(x, y)


def _of_pairs(
    parts: PartFiles,
    labels: Mapping[str, str],
    params: LocalParams,
    signature: Signature,
    split: str,
) -> Labelled:
    """The rows of files of features with the labels of other files, of one part."""
    if len(parts) > 1 and split not in parts:
        raise unknown_name_error("part of these files", split, parts, field="split")
    part = cast("Any", split if len(parts) > 1 else next(iter(parts)))
    files = PartFiles({part: parts[part]}, {})
    contents = open_pairs(files, labels, params, request_of(params, None))
    (chunks,) = contents.chunks.values()
    form = cast("TableFormat", open_format("csv"))
    return Labelled(_frame(form, parts[part], params, signature, ()), joined(read_labels(chunks)))


def params_for(files: tuple[str, ...], signature: Signature, changes: Table) -> LocalParams:
    """How the files are read: as the model's training files, as far as their format takes it.

    Raises:
        ConfigError: a parameter that does not exist, or that means which file.
    """
    if "path" in changes:
        raise ConfigError(
            "the file is given already",
            field="params.path",
            value=changes["path"],
            fix="Leave it out.",
        )
    own = dict(signature.reader)
    if format_of(files[0]) is not None:
        own.pop("format", None)  # a model of CSV files predicts on Parquet too
    form = open_format(format_name(files, _made({**_only(own, "format"), **changes})))
    return _made({**_only(own, *taken_by(form)), **changes})


def _only(values: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: values[name] for name in names if name in values}


def _made(values: Mapping[str, Any]) -> LocalParams:
    """The parameters. What they would need for labels (a second file, `y`) is not asked for."""
    whole = {"path": "rows", **values}
    if "x" in whole:
        whole.setdefault("y", "y")
    return LocalParams(**whole)


def _frame(
    form: TableFormat,
    files: tuple[str, ...],
    params: LocalParams,
    signature: Signature,
    kept: tuple[str, ...],
) -> Frame:
    """The features and what is kept of a table; every column of it, if the model has no names."""
    asked = request_of(params, None, signature.table)
    request = replace(asked, kept=kept, labelled=signature.table is not None)
    contents = form.open(PartFiles({"train": files}, {}), params, request)
    found = [chunk for part in contents.chunks.values() for chunk in part]
    chunks = cast("list[TableChunk]", found)  # as those of a `TableFormat` are
    if not sum(chunk.n_rows for chunk in chunks):
        raise _no_rows_error(files[0])
    where = _RowPlaces(chunks)
    if signature.table is None:
        columns = _unnamed(form, contents, chunks, files, {*kept}, signature.n_features)
        return Frame(tuple(columns), columns.__getitem__, where)
    table = _whole(chunks, files)
    missing = () if params.missing is None else asked.missing
    return Frame(contents.columns, table.column, where, missing)


def _unnamed(
    form: TableFormat,
    contents: Contents,
    chunks: list[TableChunk],
    files: tuple[str, ...],
    kept: set[str],
    n_features: int,
) -> dict[str, Any]:
    """The columns for a model without names: numbers, and as they are written labels and texts."""
    x = joined(chunk.read()["x"] for chunk in chunks)
    names = contents.feature_names or ()
    columns: dict[str, Any] = {name: x[:, place] for place, name in enumerate(names)}
    if isinstance(form, LibsvmFormat):  # zeros at the end of all lines are not written
        for place in range(len(names), n_features):
            columns[f"f{place + 1}"] = np.zeros(len(x))
        kept = {LABEL}
    texts = contents.table.features if contents.table else ()
    kept |= {column.name for column in texts if column.kind == "category"}
    kept |= {name for name in names if name.strip().lower() in LABELS}
    if kept:
        table = _whole(chunks, files)
        columns |= {name: table.column(name) for name in table.column_names if name in kept}
    return columns


def _whole(chunks: list[TableChunk], files: tuple[str, ...]) -> pa.Table:
    try:
        return pa.concat_tables([c.table() for c in chunks], promote_options="permissive")
    except pa.ArrowException as exc:
        raise DataError(
            f"the files have columns of different types: {exc}",
            field="params.path",
            value=files,
            fix="Write all files with one schema.",
        ) from exc


def _no_rows_error(path: str) -> DataError:
    return DataError(
        "there are no rows", field="params.path", value=path, fix="Give at least one row."
    )


class _RowPlaces:
    """Where a row of several chunks is, for error messages."""

    def __init__(self, chunks: Sequence[TableChunk]) -> None:
        self._chunks = chunks
        self._starts = [0, *accumulate(chunk.n_rows for chunk in chunks)]

    def __call__(self, row: int) -> str:
        at = min(bisect_right(self._starts, row), len(self._chunks)) - 1
        return self._chunks[at].where(row - self._starts[at])

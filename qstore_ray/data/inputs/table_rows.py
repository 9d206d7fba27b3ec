"""The rows of tables in files, as columns by name, to predict on or to score."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Any, cast

import numpy as np
import pyarrow as pa

from qstore_ray.data.inputs.frame import Frame
from qstore_ray.data.inputs.signature import Signature
from qstore_ray.data.sources.local.adapter import (
    request_of,
)
from qstore_ray.data.sources.local.base import Contents, TableChunk, TableFormat, joined
from qstore_ray.data.sources.local.libsvm import LABEL, LibsvmFormat
from qstore_ray.data.sources.local.params import LocalParams
from qstore_ray.data.sources.parts import PartFiles
from qstore_ray.data.tables.names import LABELS
from qstore_ray.errors import DataError


def read_frame(
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
        raise no_rows_error(files[0])
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


def no_rows_error(path: str) -> DataError:
    """The error for files without a row."""
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

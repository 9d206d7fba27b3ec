"""Uploads become arrays, and arrays become files: checked before they are believed.

A `.npz` upload holds x and y, and may hold x_val, y_val, x_test and y_test. A Parquet upload is a
table: a label column, an optional column `split`, and either one column `x` of lists of equal
length or columns as the reader of local files takes them, which keep their names. Nothing is
unpickled; every header is checked by `data/files/npyfile.py` before memory is taken.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from qstore_ray.data.files.npyfile import Place, count_rows, member_names, read_array
from qstore_ray.data.rows.labels import flat_labels
from qstore_ray.data.service.records import SPLITS, Split
from qstore_ray.data.service.server.content import Content, Rows
from qstore_ray.data.service.server.tables import body_error, read_arrow_table
from qstore_ray.errors import DataError, QStoreError, unknown_name_error

if TYPE_CHECKING:
    from qstore_ray.data.sources.base import ColumnsConfig
    from qstore_ray.types import AnyArray


def read_npz(path: Path, max_bytes: int) -> Content:
    """The parts in a `.npz` file.

    Raises:
        DataError: damaged, of a refused type, too large, ragged, non-finite, or without x and y.
    """
    try:
        return _read_npz(path, max_bytes)
    except QStoreError as exc:
        raise body_error(exc, str(path)) from exc


def _read_npz(path: Path, max_bytes: int) -> Content:
    names = set(member_names(str(path)))
    known = {f"{letter}{end}" for letter in "xy" for end in ("", "_train", "_val", "_test")}
    if unknown := sorted(names - known):
        raise DataError(
            "an array of an unknown name",
            field="body",
            value=unknown[0],
            fix=f"Known: {', '.join(sorted(known))}.",
        )
    parts: dict[Split, Rows] = {}
    for split in SPLITS:
        end = "" if split == "train" and "x" in names else f"_{split}"
        pair = Place(str(path), f"x{end}"), Place(str(path), f"y{end}")
        if not {f"x{end}", f"y{end}"} & names:
            continue
        count_rows(*pair, max_bytes)
        parts[split] = Rows(*(read_array(place, max_bytes) for place in pair))
    return Content(parts)


def read_parquet(path: Path, max_bytes: int, columns: ColumnsConfig) -> Content:
    """The parts in a Parquet file.

    Raises:
        DataError: damaged, too large, or what the reader of local files says.
    """
    try:
        with pq.ParquetFile(path) as file:
            meta = file.metadata
            groups = range(meta.num_row_groups)
            unpacked = sum(meta.row_group(group).total_byte_size for group in groups)
            if max(unpacked, meta.num_rows * len(file.schema_arrow.names)) > max_bytes:
                raise DataError(
                    f"would unpack to {unpacked:,} bytes, {max_bytes:,} are allowed", field="body"
                )
            table = file.read()
    except (pa.ArrowException, OSError, ValueError) as exc:
        raise DataError(
            "a damaged or foreign file", field="body", fix="Write it with pyarrow.parquet."
        ) from exc
    if table.nbytes > max_bytes:  # dictionary pages can unpack to more than the footer says
        raise DataError(f"unpacks to more than {max_bytes:,} bytes", field="body")
    if any(_is_list(kind) for kind in table.schema.types):
        return _parts_of(table, columns.label or "y")
    return read_arrow_table(table, path, columns, max_bytes)


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind))


def _parts_of(table: pa.Table, label: str) -> Content:
    names = table.column_names
    if len(set(names)) < len(names):
        raise DataError("a column occurs twice", field="body", value=sorted(names))
    if label not in names:
        raise unknown_name_error("label column", label, names, field="label")
    split_column = table.column("split").to_pylist() if "split" in names else None
    features = [name for name in names if name not in {label, "split"}]
    if not features:
        raise DataError("there is no feature column", field="body", value=names)
    x = _features(table, features)
    y = flat_labels(table.column(label).to_numpy(zero_copy_only=False))
    feature_names = None if features == ["x"] and x.ndim == 2 else tuple(features)
    if split_column is None:
        return Content({"train": Rows(x, y)}, feature_names)
    if wrong := {str(value) for value in split_column} - set(SPLITS):
        raise unknown_name_error("split", min(wrong), SPLITS, field="body.split")
    where = np.array(split_column)
    parts = {split: Rows(x[where == split], y[where == split]) for split in SPLITS}
    return Content({split: rows for split, rows in parts.items() if len(rows.x)}, feature_names)


def _features(table: pa.Table, names: list[str]) -> AnyArray:
    """Columns as x (N, F): numeric ones side by side, or one column of lists."""
    columns = []
    for name in names:
        column = table.column(name).combine_chunks()
        kind = column.type
        lists = _is_list(kind)
        values = kind.value_type if lists else kind
        numeric = pa.types.is_integer(values) or pa.types.is_floating(values)
        if not (numeric or pa.types.is_boolean(values)) or column.null_count:
            gaps = f"{column.null_count} missing values; " if column.null_count else ""
            raise DataError(
                f"{gaps}beside lists the service takes columns of numbers, this one is {kind}",
                field=f"body.{name}",
                fix="Leave the column out, or write a column for every place of the lists.",
            )
        if not lists:
            columns.append(column.to_numpy(zero_copy_only=False)[:, np.newaxis])
            continue
        flat = column.flatten().to_numpy(zero_copy_only=False)
        lengths = {len(flat)} if len(column) < 2 else set(np.diff(_ends(column)).tolist())
        if len(lengths) != 1:
            raise DataError("lists of different lengths", field=f"body.{name}")
        columns.append(flat.reshape(len(column), -1) if len(flat) else flat.reshape(0, 0))
    joined: AnyArray = np.concatenate(columns, axis=1)
    return joined


def _ends(column: Any) -> AnyArray:
    """Where each list of a column begins, and where the last one ends."""
    if pa.types.is_fixed_size_list(column.type):
        fixed: AnyArray = np.arange(len(column) + 1) * column.type.list_size
        return fixed
    ends: AnyArray = column.offsets.to_numpy()
    return ends


def check_content(content: Content) -> Content:
    """`content` with labels flattened: rows of one shape, finite numbers, a part called train.

    Raises:
        DataError: what is wrong, and in which part.
    """
    if "train" not in content.parts:
        raise DataError(
            "there are no training rows", field="body", fix="Give x and y, or x_train and y_train."
        )
    gaps = content.table is not None
    parts = {split: _checked(split, rows, gaps) for split, rows in content.parts.items()}
    shapes = {split: rows.x.shape[1:] for split, rows in parts.items()}
    if len(set(shapes.values())) > 1:
        raise DataError("the parts have rows of different shapes", field="body", value=shapes)
    kinds = {rows.y.dtype.kind == "U" for rows in parts.values()}
    if len(kinds) > 1:
        raise DataError("labels are text in one part and numbers in another", field="body")
    return replace(content, parts=parts)


def _checked(split: str, rows: Rows, gaps: bool) -> Rows:
    x, y = rows.x, flat_labels(rows.y)
    if x.dtype.kind not in "biuf":
        raise DataError(f"features must be numbers, not {x.dtype}", field=f"body.{split}")
    if not len(x) or x.ndim < 2 or not math.prod(x.shape[1:]):
        raise DataError("x must be rows of numbers (N, …)", field=f"body.{split}", value=x.shape)
    if len(x) != len(y):
        raise DataError(f"{len(x)} rows but {len(y)} labels", field=f"body.{split}")
    if not gaps and x.dtype.kind == "f" and not np.isfinite(x).all():
        row = int(np.argmin(np.isfinite(x.reshape(len(x), -1)).all(axis=1)))
        raise DataError(
            "a feature is NaN or infinite",
            field=f"body.{split}",
            value=f"row {row}",
            fix="Drop or fill such rows before the upload.",
        )
    return Rows(x, y)

"""Raw rows: the result of a read task, in any form, as checked arrays with a digest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xxhash

from qstore_ray.data.rows.labels import flat_labels
from qstore_ray.data.rows.validate import as_array, as_features, check_same_length
from qstore_ray.data.rows.weights import checked_weights
from qstore_ray.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

    from qstore_ray.data.sources.base import RawBlock, ReadTask
    from qstore_ray.types import AnyArray, FloatArray, IntArray


class Block(NamedTuple):
    """Rows as a source gave them: features (N, F), labels (N,) or (N, T), row numbers (N,).

    `weight` (N,) are sample weights; None if the source has none.
    """

    x: FloatArray
    y: AnyArray
    row: IntArray
    weight: FloatArray | None = None


class RawRows(NamedTuple):
    """A source's block as arrays, features still in their own type and shape (N, …).

    `group` (N,) says as text which rows belong together; None where the source does not.
    `unlabelled` (N,) says which rows have no label; None where all have one. `weight` (N,) are
    sample weights; None if the source has none.
    """

    x: AnyArray
    y: AnyArray
    row: IntArray
    group: AnyArray | None = None
    unlabelled: AnyArray | None = None
    weight: FloatArray | None = None

    def digest(self) -> str:
        """XXH3 of the rows, 128 bits as 32 hex digits.

        It is taken at every read, to notice changes and not attacks; SHA-256 would take longer
        than the reading itself.
        """
        content = xxhash.xxh3_128()
        for column in (part for part in self if part is not None):
            content.update(f"{column.dtype.str}{column.shape}".encode())
            content.update(np.ascontiguousarray(column).data)
        return content.hexdigest()


def read_raw(task: ReadTask, *, several: bool = False) -> RawRows:
    """Call a source's read task, and check that its columns are there and of one length.

    Args:
        several: whether a row may have several labels, see `flat_labels`.

    Raises:
        DataError: a missing column, ragged rows, differing lengths.
    """
    columns = _columns(task())
    missing = {"x", "y", "row"} - set(columns)
    if missing:
        raise DataError("a read task left out columns", value=sorted(missing))
    x = as_array(columns["x"], "x")
    labels, unlabelled = _unlabelled(columns)
    y = flat_labels(labels, several=several)
    check_same_length(x, y)
    row = np.asarray(columns["row"], dtype=np.int64)
    check_same_length(x, row, field="row")
    return RawRows(
        x,
        y,
        row,
        None if "group" not in columns else _groups(columns["group"], x),
        unlabelled,
        None if "weight" not in columns else _weights(columns["weight"], x, row),
    )


def _weights(values: Any, x: AnyArray, row: IntArray) -> FloatArray:
    """The weights (N,) of a block, checked."""
    weight = as_array(values, "weight")
    check_same_length(x, weight, field="weight")
    if weight.dtype.kind not in "biuf" or weight.ndim != 1:
        raise DataError(
            "weights are one number a row",
            field="columns.weight",
            value=f"{weight.dtype} {weight.shape}",
            fix="Write one number a row.",
        )
    return checked_weights(
        weight, lambda at: f"weight of row {row[at]}", lambda at: weight[at].item()
    )


def _groups(values: Any, x: AnyArray) -> AnyArray:
    """The groups (N,) of a block as text: a number is the group of the same text."""
    group = np.asarray(values)
    check_same_length(x, group, field="group")
    if group.dtype.kind not in "iuU":
        raise DataError(
            "groups are whole numbers or text", field="columns.group", value=str(group.dtype)
        )
    return group.astype(str)


def _unlabelled(columns: dict[str, Any]) -> tuple[Any, AnyArray | None]:
    """The labels, and which rows have none: as the task says, or with NaN for a label."""
    labels = as_array(columns["y"], "y")
    if "unlabelled" in columns:
        return labels, np.asarray(columns["unlabelled"], dtype=bool)
    if labels.dtype.kind != "f" or not np.isnan(labels).any():
        return labels, None
    missing = np.isnan(labels)
    rows = np.asarray(missing.reshape(len(labels), -1).any(axis=1))
    return np.where(missing, 0.0, labels), rows


def to_block(raw: RawRows, columns: tuple[int, ...] | None) -> Block:
    """The rows with features as float64 (N, F), reduced to the chosen columns."""
    x = as_features(raw.x)
    if columns is not None:
        x = np.ascontiguousarray(x[:, columns])
    return Block(x, raw.y, raw.row, raw.weight)


def _columns(block: RawBlock) -> dict[str, Any]:
    if isinstance(block, dict):
        return block
    return {name: _from_arrow(block.column(name), name) for name in block.column_names}


def _from_arrow(column: pa.ChunkedArray, name: str) -> AnyArray:
    """A pyarrow column as an array; lists and tensors become (N, F)."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if column.null_count and name == "x" and pa.types.is_floating(column.type):
        column = pc.fill_null(column, float("nan"))
    if column.null_count:
        row = pc.index(pc.is_null(column), True).as_py()
        raise DataError("a value is missing", field=name, value=f"position {row}")
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    kind = column.type
    values: AnyArray
    if isinstance(kind, pa.FixedShapeTensorType):
        chunks = [chunk.to_numpy_ndarray() for chunk in column.chunks]
        none = np.zeros((0, *kind.shape), kind.value_type.to_pandas_dtype())
        return np.concatenate([none, *chunks])
    if pa.types.is_fixed_size_list(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind):
        widths = pc.unique(pc.list_value_length(column)).to_pylist()
        if len(widths) > 1:
            raise DataError("the rows have different lengths", field=name, value=sorted(widths))
        values = pc.list_flatten(column).to_numpy()
        return values.reshape(len(column), widths[0] if widths else 0)
    values = column.to_numpy()
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    return values.astype(str) if text else values

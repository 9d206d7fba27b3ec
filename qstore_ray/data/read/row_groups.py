"""The rows of a saved dataset: a Parquet file a split, one row group a read task.

The file is on this machine, or in an object store, of which each task reads its own ranges.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from qstore_ray.data.read.plan import ReadPlan
from qstore_ray.data.rows.raw import read_raw
from qstore_ray.errors import DataError
from qstore_ray.storage.address import address_of
from qstore_ray.storage.ranges import ObjectFile

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray


@dataclass(frozen=True)
class RowGroup:
    """A read task: one row group of a saved split.

    Attributes:
        path: of the file, or its address in an object store.
    """

    path: str
    number: int

    def __call__(self) -> dict[str, AnyArray]:
        """The columns x (rows, F), y, row, and weight if the rows have weights.

        Raises:
            DataError: the file is gone or damaged.
            StorageError: the object store cannot be used.
        """
        try:
            with open_rows(self.path) as file:
                table = file.read_row_group(self.number)
        except (OSError, pa.ArrowException) as exc:
            raise DataError(
                f"a saved dataset cannot be read: {exc}", field="path", value=self.path
            ) from exc
        x, row = (table.column(name).combine_chunks() for name in ("x", "row"))
        columns = {
            "x": _matrix(x),
            "y": label_values(table),
            "row": row.to_numpy(),
        }
        if "weight" in table.column_names:
            columns["weight"] = table.column("weight").to_numpy()
        return columns


def open_rows(path: str) -> pq.ParquetFile:
    """The Parquet file at a path or an address; of the latter, what is asked for is fetched."""
    address = address_of(path, "path")
    if address is None:
        return pq.ParquetFile(path)
    return pq.ParquetFile(ObjectFile(address), pre_buffer=True)  # neighbouring columns at once


def label_values(table: pa.Table) -> AnyArray:
    """The labels (rows,) or (rows, T) in the column y, as they were before they were numbered."""
    y = table.column("y").combine_chunks()
    if pa.types.is_fixed_size_list(y.type):
        return _matrix(y)
    labels: AnyArray = y.to_numpy(zero_copy_only=False)
    return labels.astype(str) if pa.types.is_string(y.type) else labels


def write_rows(plan: ReadPlan, path: Path) -> list[str]:
    """Write the raw rows of a split, one row group a task; the digest of each as it reads back."""
    writer: pq.ParquetWriter | None = None
    try:
        for task in plan.tasks:
            raw = task.raw()
            columns = {
                "x": _lists(raw.x),
                "y": _label_column(raw.y),
                "row": pa.array(raw.row),
            }
            if raw.weight is not None:
                columns["weight"] = pa.array(raw.weight)
            table = pa.table(columns)
            writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
            writer.write_table(table, row_group_size=max(len(table), 1))
    finally:
        if writer is not None:
            writer.close()
    return [
        read_raw(RowGroup(str(path), number), several=task.labels.several).digest()
        for number, task in enumerate(plan.tasks)
    ]


def _label_column(y: AnyArray) -> pa.Array:
    if y.ndim == 2:
        return _lists(y)
    return pa.array(y.tolist() if y.dtype.kind == "U" else y)


def _lists(rows: AnyArray) -> pa.Array:
    """Rows (N, F) as a column of lists."""
    return pa.FixedSizeListArray.from_arrays(rows.ravel(), rows.shape[1])


def _matrix(column: pa.Array) -> AnyArray:
    """What `_lists` made, as rows (N, F) again."""
    rows: AnyArray = column.flatten().to_numpy().reshape(len(column), column.type.list_size)
    return rows

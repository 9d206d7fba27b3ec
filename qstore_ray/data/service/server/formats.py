"""The rows of one part as a file: `.npz`, Parquet, JSON or CSV; and as numbers to look at."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from qstore_ray.data.service.records import FeatureStatistics, Format, SplitStatistics
from qstore_ray.data.service.server.content import Rows

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray

MEDIA_TYPES: dict[Format, str] = {
    "npz": "application/zip",
    "parquet": "application/vnd.apache.parquet",
    "json": "application/json",
    "csv": "text/csv; charset=utf-8",
}


def write_rows(path: Path, rows: Rows, format_: Format, names: tuple[str, ...] | None) -> None:
    """Write the rows to `path`.

    `npz` holds x (N, …) and y (N,); `json` an object of the two, nested; `csv` and `parquet` are
    tables with y last, rows flattened to F columns called by `names`, or x0, x1, … without names.
    """
    flat = rows.x.reshape(len(rows.x), -1)
    columns = [*(names or (f"x{position}" for position in range(flat.shape[1]))), "y"]
    if format_ == "npz":
        np.savez(path, x=rows.x, y=rows.y)
    elif format_ == "json":
        x = with_gaps(rows.x)
        text = json.dumps({"x": x, "y": rows.y.tolist()}, allow_nan=False)
        path.write_text(text, encoding="utf-8")
    elif format_ == "csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            writer.writerows(
                [*row, label] for row, label in zip(flat.tolist(), rows.y.tolist(), strict=True)
            )
    else:
        arrays = [pa.array(np.ascontiguousarray(column)) for column in flat.T]
        pq.write_table(pa.table([*arrays, pa.array(rows.y)], names=columns), path)


def with_gaps(x: AnyArray) -> list[Any]:
    """Rows (N, …) as nested lists, with None for what is missing, which JSON has no number for."""
    found = x
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        found = x.astype(object)
        found[~np.isfinite(x)] = None
    listed: list[Any] = found.tolist()
    return listed


def describe(rows: Rows) -> SplitStatistics:
    """Mean, standard deviation and range of every feature, and how often each class occurs."""
    flat = rows.x.reshape(len(rows.x), -1).astype(np.float64)
    known = [column[np.isfinite(column)] for column in flat.T]
    features = FeatureStatistics(
        mean=[part.mean().item() if len(part) else None for part in known],
        std=[part.std().item() if len(part) else None for part in known],
        min=[part.min().item() if len(part) else None for part in known],
        max=[part.max().item() if len(part) else None for part in known],
    )
    return SplitStatistics(
        rows=len(flat), class_distribution=class_counts(rows.y), features=features
    )


def class_counts(y: AnyArray) -> dict[str, int] | None:
    """Rows of each class, by its label as text; None where labels are no classes but numbers."""
    if y.dtype.kind == "f" and not all(math.modf(value)[0] == 0.0 for value in y.tolist()):
        return None
    labels, counts = np.unique(y, return_counts=True)
    return {
        str(label): count for label, count in zip(labels.tolist(), counts.tolist(), strict=True)
    }

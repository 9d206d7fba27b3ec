"""Uploaded tables, read by the reader of local files: Parquet, CSV, JSON lines.

What the columns mean is decided when a table is uploaded, and kept in the dataset's record. A
Parquet table may have a column `split` of train, val and test: it says which part a row is in.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from qstore_ray.data.service.records import SPLITS
from qstore_ray.errors import ConfigError, DataError, QStoreError, unknown_name_error

if TYPE_CHECKING:
    from qstore_ray.data.service.server.content import Content
    from qstore_ray.data.sources.base import ColumnsConfig

SUFFIXES = {"text/csv": ".csv", "application/x-ndjson": ".jsonl"}
"""Tables that are text, by their media type."""


def read_text_table(path: Path, suffix: str, columns: ColumnsConfig, max_bytes: int) -> Content:
    """The rows of a CSV or JSONL file.

    Raises:
        DataError: what the reader of local files says.
    """
    with TemporaryDirectory(dir=path.parent, prefix=".part-") as folder:
        file = Path(folder, f"body{suffix}")
        file.hardlink_to(path)
        return _read({"path": str(file)}, folder, columns, max_bytes)


def read_arrow_table(
    table: pa.Table, near: Path, columns: ColumnsConfig, max_bytes: int
) -> Content:
    """The rows of a table, cut into parts by its column `split`, where it has one.

    Raises:
        DataError: what the reader of local files says.
        UnknownNameError: a part of another name.
    """
    with TemporaryDirectory(dir=near.parent, prefix=".part-") as folder:
        if "split" not in table.column_names:
            file = Path(folder, "body.parquet")
            pq.write_table(table, file)
            return _read({"path": str(file)}, folder, columns, max_bytes)
        where = table.column("split")
        if wrong := {str(value) for value in where.unique().to_pylist()} - set(SPLITS):
            raise unknown_name_error("split", min(wrong), SPLITS, field="body.split")
        rest = table.drop_columns(["split"])
        params: dict[str, Any] = {}
        for split in SPLITS:
            if (rows := rest.filter(pc.equal(where, split))).num_rows:
                params[split] = str(Path(folder, f"{split}.parquet"))
                pq.write_table(rows, params[split])
        if "train" not in params:
            raise DataError("there are no training rows", field="body.split")
        return _read(params, folder, columns, max_bytes)


def _read(params: dict[str, Any], folder: str, columns: ColumnsConfig, max_bytes: int) -> Content:
    from qstore_ray.data.service.server.imports.hub import content_of
    from qstore_ray.data.sources.base import SourceConfig
    from qstore_ray.data.sources.local.adapter import LocalFilesSourceAdapter
    from qstore_ray.data.sources.local.params import LocalParams

    for field, value in (("group", columns.group), ("weight", columns.weight)):
        if value is not None:
            raise ConfigError(
                f"the service keeps no {field}s",
                field=f"columns.{field}",
                value=value,
                fix="Leave it out, or read the table as a local file.",
            )
    config = SourceConfig(name="body", columns=columns)
    try:
        source = LocalFilesSourceAdapter().read(LocalParams(**params, max_bytes=max_bytes), config)
        return content_of(source, None, max_bytes)
    except QStoreError as exc:
        raise body_error(exc, folder) from exc


def body_error(exc: QStoreError, place: str) -> QStoreError:
    """The error, about the body of the request instead of a file or folder of the server."""
    message, field, value, fix = (
        text.replace(f"{place}/", "").replace(place, "body") if isinstance(text, str) else text
        for text in (exc.message, exc.field, exc.value, exc.fix)
    )
    if field == "params.path":
        field = "body"
    return type(exc)(message, field=field, value=value, fix=fix)

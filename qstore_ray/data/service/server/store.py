"""The datasets of the service: records in the catalogue, rows in files named by their content.

A dataset is reserved (`pending`), then completed or failed. Two datasets with the same rows share
their files; a file goes when the last dataset that needs it goes.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import RLock
from typing import Any

import numpy as np

from qstore_ray.data.files.npyfile import Place, read_array
from qstore_ray.data.service.records import (
    DatasetPatch,
    DatasetRecord,
    Format,
    Origin,
    Split,
    SplitRecord,
)
from qstore_ray.data.service.server.arrays import check_content
from qstore_ray.data.service.server.blobs import Blobs
from qstore_ray.data.service.server.catalogue import Catalogue, new_id
from qstore_ray.data.service.server.content import Content, Rows
from qstore_ray.data.service.server.formats import class_counts, write_rows
from qstore_ray.errors import UnknownNameError, UsageError, unknown_name_error


@dataclass(frozen=True)
class RenderedFile:
    """A file to send: where it is, and the hash of its content."""

    path: Path
    sha256: str


class DatasetStore:
    """Datasets in a folder."""

    def __init__(self, folder: Path, max_array_bytes: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.catalogue = Catalogue(folder / "catalogue.sqlite")
        self.blobs = Blobs(folder / "blobs")
        self._max_bytes = max_array_bytes
        self._changing = RLock()  # reading a record and writing it back is one step

    def reserve(self, name: str, source: Origin, description: str = "") -> DatasetRecord:
        """A new dataset without rows, `pending`."""
        record = DatasetRecord(
            id=new_id(),
            name=name,
            source=source,
            status="pending",
            description=description,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        self._put(record)
        return record

    def add(
        self, name: str, source: Origin, content: Content, description: str = ""
    ) -> DatasetRecord:
        """A new dataset with the rows of `content`.

        Raises:
            DataError: the rows cannot be used.
        """
        checked = check_content(content)
        return self.complete(self.reserve(name, source, description).id, checked)

    def complete(self, id_: str, content: Content) -> DatasetRecord:
        """Give a reserved dataset its rows; it is `ready` then.

        Raises:
            DataError: the rows cannot be used.
            UnknownNameError: the dataset was deleted in the meantime.
        """
        content = check_content(content)
        with self._changing:
            record = self.get(id_)
            splits = {split: self._keep(rows) for split, rows in content.parts.items()}
            labels = np.concatenate([rows.y for rows in content.parts.values()])
            revision = hashlib.sha256()
            for split in sorted(splits):
                revision.update(f"{split}:{splits[split].sha256};".encode())
            record = record.model_copy(
                update={
                    "status": "ready",
                    "splits": splits,
                    "num_samples": len(labels),
                    "num_classes": len(class_counts(labels) or ()),
                    "shape": content.parts["train"].x.shape[1:],
                    "feature_names": content.feature_names,
                    "class_names": content.class_names,
                    "copies": content.copies,
                    "table": None if content.table is None else content.table.to_dict(),
                    "revision": revision.hexdigest(),
                }
            )
            self._put(record)
        return record

    def fail(self, id_: str) -> None:
        """Mark a dataset whose rows could not be made; nothing happens if it was deleted."""
        with self._changing, suppress(UnknownNameError):
            self._put(self.get(id_).model_copy(update={"status": "failed"}))

    def get(self, id_: str) -> DatasetRecord:
        """The record of this id.

        Raises:
            UnknownNameError: no such record exists.
        """
        return self.catalogue.get("dataset", id_, DatasetRecord)

    def patch(self, id_: str, patch: DatasetPatch) -> DatasetRecord:
        """Change name, description or metadata; what is not given stays."""
        with self._changing:
            changes: dict[str, Any] = patch.model_dump(exclude_none=True)
            record = self.get(id_).model_copy(update=changes)
            self._put(record)
        return record

    def delete(self, id_: str) -> None:
        """Forget a dataset, and its files where no other dataset needs them.

        Raises:
            UnknownNameError: no such record exists.
        """
        with self._changing:
            record = self.get(id_)
            self.catalogue.remove("dataset", id_)
            others = self.catalogue.every("dataset", DatasetRecord)
            needed = {part.sha256 for other in others for part in other.splits.values()}
            for sha256 in {part.sha256 for part in record.splits.values()} - needed:
                for rendered in self.catalogue.remove_renderings(sha256):
                    self.blobs.remove(rendered)
                self.blobs.remove(sha256)

    def rows(self, record: DatasetRecord, split: Split) -> Rows:
        """The rows of one part.

        Raises:
            UsageError: the dataset is not ready.
            UnknownNameError: it has no such part.
            DataError: the file is gone or damaged.
        """
        path = str(self.blobs.find(self._part(record, split).sha256))
        x, y = (read_array(Place(path, name), self._max_bytes) for name in "xy")
        return Rows(x, y)

    def rendered(self, record: DatasetRecord, split: Split, format_: Format) -> RenderedFile:
        """One part as a file of that format; made on the first call, kept for the next ones."""
        sha256 = self._part(record, split).sha256
        if format_ == "npz":
            return RenderedFile(self.blobs.find(sha256), sha256)
        key = f"{format_}:{','.join(record.feature_names or ())}"
        with self._changing:
            found = self.catalogue.rendering(sha256, key)
            if found is None:
                rows = self.rows(record, split)
                with self.blobs.scratch() as path:
                    write_rows(path, rows, format_, record.feature_names)
                    found, _ = self.blobs.keep(path)
                self.catalogue.add_rendering(sha256, key, found)
        return RenderedFile(self.blobs.find(found), found)

    @staticmethod
    def _part(record: DatasetRecord, split: Split) -> SplitRecord:
        if record.status != "ready":
            raise UsageError(
                f"the dataset is {record.status}",
                field="id",
                value=record.id,
                fix="Wait for its job: GET /jobs/{id} reports the state and the error.",
            )
        if split not in record.splits:
            raise unknown_name_error("split", split, record.splits, field="split")
        return record.splits[split]

    def _keep(self, rows: Rows) -> SplitRecord:
        with self.blobs.scratch(".npz") as path:
            write_rows(path, rows, "npz", None)
            sha256, size = self.blobs.keep(path)
        return SplitRecord(rows=len(rows.y), bytes=size, sha256=sha256)

    def _put(self, record: DatasetRecord) -> None:
        self.catalogue.put("dataset", record.id, record, source=record.source, status=record.status)

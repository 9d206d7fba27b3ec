"""Files named by the SHA-256 of their content, so that a name can never lie about what it holds.

A file is written beside its place and moved there when it is whole, so that a crash leaves nothing
that could be taken for data. Names are 64 hexadecimal digits and nothing else, so that no request
can lead out of the folder.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qstore_ray.data.files.files import sha256_of
from qstore_ray.data.service.records import SHA256_PATTERN
from qstore_ray.errors import DataError, ServiceError


class Blobs:
    """A folder of files named by their content."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(".part-*"):  # of a server that was killed while it wrote
            if left.is_dir():
                shutil.rmtree(left)
            else:
                left.unlink()

    @contextmanager
    def scratch(self, suffix: str = "") -> Iterator[Path]:
        """A path for a file in the making, removed afterwards unless it was kept."""
        path = self._folder / f".part-{secrets.token_hex(8)}{suffix}"
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    def keep(self, path: Path) -> tuple[str, int]:
        """Move a finished file to its place; its hash and its size in bytes."""
        with path.open("rb") as file:
            os.fsync(file.fileno())
        sha256, size = sha256_of(path), path.stat().st_size
        path.replace(self._path(sha256))
        return sha256, size

    def find(self, sha256: str) -> Path:
        """The file of this hash.

        Raises:
            ServiceError: it is gone from the folder.
        """
        path = self._path(sha256)
        if not path.is_file():
            raise ServiceError(
                "the file of this dataset is gone from the server's folder",
                value=sha256,
                fix="Restore the folder from a copy, or delete the dataset and upload it again.",
            )
        return path

    def remove(self, sha256: str) -> None:
        """Delete a file; do nothing if it does not exist."""
        self._path(sha256).unlink(missing_ok=True)

    def _path(self, sha256: str) -> Path:
        if not re.fullmatch(SHA256_PATTERN, sha256):
            raise DataError("not a SHA-256", value=sha256, fix="Give 64 hexadecimal digits.")
        return self._folder / sha256

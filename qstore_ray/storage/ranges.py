"""An object as a file that is read at any place, by ranges; nothing is kept on the disk."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from qstore_ray.storage import cloud

if TYPE_CHECKING:
    from qstore_ray.storage.address import StorageAddress

_TAIL_BYTES = 64 * 1024


class ObjectFile(io.RawIOBase):
    """Reads the object at an address; each `read` is one request, or none near the end.

    The end of the file is fetched first and kept, since Parquet has its index there.

    Raises:
        FileNotFoundError: there is no such object.
        StorageError: the object store cannot be used; also from `read`.
    """

    def __init__(self, address: StorageAddress) -> None:
        self._objects, self._key = cloud.open_objects(address.parent), address.name
        found = self._objects.facts(self._key)
        if found is None:
            raise FileNotFoundError(f"no such object: {address}")
        self._size, self._place = found.size, 0
        self._tail_start = max(0, self._size - _TAIL_BYTES)
        self._tail = self._objects.read_range(self._key, self._tail_start, self._size)

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """Where the next byte is read."""
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place; returns it."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        self._place = max(0, start + offset)
        return self._place

    def read(self, size: int | None = -1) -> bytes:
        """The next bytes, to the end without a size."""
        end = self._size if size is None or size < 0 else min(self._size, self._place + size)
        start, self._place = self._place, max(self._place, end)
        if start >= end:
            return b""
        if start >= self._tail_start:
            return self._tail[start - self._tail_start : end - self._tail_start]
        return self._objects.read_range(self._key, start, end)

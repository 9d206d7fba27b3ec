"""Compressed text files (`.gz`, `.bz2`, `.zst`) as files that can be read in ranges.

A packed file has no ranges, so it is unpacked once, block by block, into a temporary file of this
process, and the ranges are taken from that. Another process, on a cluster another node, unpacks
its own. A file that has changed since is unpacked again.
"""

from __future__ import annotations

import io
import os
import tempfile
import threading
import weakref
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from qstore_ray.data.files.files import is_remote, open_file
from qstore_ray.data.sources.local.held import Version, version_of
from qstore_ray.errors import DataError

_CODECS = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}
PACKED = tuple(_CODECS)
MOST_TIMES = 1000
"""How many times its size a file may unpack to: more than text does, less than a bomb."""
_FREE_BYTES = 2**24
_BLOCK = 2**20
_KEPT = 32  # temporary files; one that is asked for again is made again

_lock = threading.Lock()
_unpacked: OrderedDict[str, tuple[Version | None, _Unpacked]] = OrderedDict()


def _renew_lock() -> None:
    """In a process that was forked off: another thread of the parent may have held the lock."""
    global _lock  # noqa: PLW0603
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_renew_lock)


class _Unpacked:
    """A temporary file without a name: gone with this object, or with the process."""

    def __init__(self, file: IO[bytes]) -> None:
        file.flush()
        self.handle = os.dup(file.fileno())
        weakref.finalize(self, os.close, self.handle)


class _Reader(io.RawIOBase):
    """A file with its own position, independent of other readers."""

    def __init__(self, file: _Unpacked) -> None:
        self._file, self._at = file, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        size = os.fstat(self._file.handle).st_size
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: size}[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        count = os.preadv(self._file.handle, [buffer], self._at)
        self._at += count
        return count


def unpacked_name(where: str) -> str:
    """The name of a file without the suffix that says how it is packed."""
    ending = _ending(where)
    return where[: -len(ending)] if ending else where


@contextmanager
def open_unpacked(where: str) -> Iterator[IO[bytes]]:
    """The content of a file open for reading, with `seek`, unpacked where its suffix says so.

    Raises:
        DataError: as `open_file`; packed and elsewhere, damaged, or more than `MOST_TIMES` its
            size when unpacked.
    """
    if not (ending := _ending(where)):
        with open_file(where) as stream:
            yield stream
        return
    if is_remote(where):  # it may change, and nothing says so without fetching it again
        raise DataError(
            "a packed file that is not on this machine",
            field="params.path",
            value=where,
            fix="Copy it to a folder of this machine, or unpack it there.",
        )
    with _lock:
        version, known = version_of(where), _unpacked.pop(where, None)
        if known is None or version is None or known[0] != version:
            known = version, _unpack(where, ending)
        _unpacked[where] = known
        if len(_unpacked) > _KEPT:
            _unpacked.popitem(last=False)
    with io.BufferedReader(_Reader(known[1])) as stream:
        yield stream


def _ending(where: str) -> str:
    return next((ending for ending in PACKED if where.lower().endswith(ending)), "")


def _unpack(where: str, ending: str) -> _Unpacked:
    import pyarrow as pa

    with open_file(where) as packed, tempfile.TemporaryFile() as made:
        most = max(_FREE_BYTES, MOST_TIMES * packed.seek(0, os.SEEK_END))
        packed.seek(0)
        try:
            with pa.CompressedInputStream(packed, _CODECS[ending]) as plain:
                while block := plain.read(_BLOCK):
                    made.write(block)
                    if made.tell() > most:
                        break
        except (OSError, pa.ArrowException) as exc:
            raise DataError(
                f"cannot be unpacked: {exc}",
                field="params.path",
                value=where,
                fix="If the file is damaged, fetch it again.",
            ) from exc
        if made.tell() > most:
            raise DataError(
                f"unpacks to more than {most:,} bytes, {MOST_TIMES:,} times its size",
                field="params.path",
                value=where,
                fix="Unpack it yourself if this is meant.",
            )
        return _Unpacked(made)

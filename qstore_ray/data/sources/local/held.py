"""Rows that were parsed while a file was looked at, held until they are read again.

Parsing text takes far longer than copying numbers, so what a text format parsed to see what its
columns are is kept, up to a bound for the whole process, as long as the dataset lives. Nothing is
kept in a pickle: on another node a chunk reads its file. And nothing is given out once the file is
another one: its time of change, its size and its inode are compared at every read.
"""

from __future__ import annotations

import os
import threading
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from qstore_ray.data.files.files import is_remote

if TYPE_CHECKING:
    import pyarrow as pa

    from qstore_ray.types import AnyArray

MOST_BYTES = 192 * 2**20
Version: TypeAlias = tuple[int, int, int, int]

_lock = threading.Lock()
_held = 0


def _renew_lock() -> None:
    """In a process that was forked off: another thread of the parent may have held the lock."""
    global _lock  # noqa: PLW0603
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_renew_lock)


def version_of(path: str) -> Version | None:
    """What changes when the file does; None where that cannot be known."""
    if is_remote(path):
        return None
    try:
        about = Path(path).stat()
    except OSError:
        return None
    return about.st_mtime_ns, about.st_ctime_ns, about.st_size, about.st_ino


class Held:
    """The rows of one chunk: first as a table, then as arrays; empty where there was no room."""

    def __init__(self) -> None:
        self._path = ""
        self._version: Version | None = None
        self._table: pa.Table | None = None
        self._rows: dict[str, AnyArray] | None = None

    def __reduce__(self) -> tuple[type[Held], tuple[()]]:
        return Held, ()

    def keep(self, table: pa.Table, path: str, version: Version | None) -> None:
        """Hold `table`, read from `path` when its version was `version`, if there is room."""
        if version is not None and version == version_of(path) and _reserve(self, table.nbytes):
            self._path, self._version, self._table = path, version, table

    def table(self) -> pa.Table | None:
        """The table, unless the file has changed."""
        return self._table if self._is_current() else None

    def rows(self) -> dict[str, AnyArray] | None:
        """What `replace` was given, unless the file has changed."""
        return self._rows if self._is_current() else None

    def replace(self, rows: dict[str, AnyArray]) -> None:
        """Hold the arrays in place of the table that they were made of."""
        for array in rows.values():
            array.flags.writeable = False
        self._table, self._rows = None, rows

    def _is_current(self) -> bool:
        return self._version is not None and version_of(self._path) == self._version


def _reserve(owner: Held, n_bytes: int) -> bool:
    """Whether so many bytes may be held; they are free again when `owner` is gone."""
    global _held  # noqa: PLW0603, one bound for the process
    with _lock:
        if _held + n_bytes > MOST_BYTES:
            return False
        _held += n_bytes
    weakref.finalize(owner, _release, n_bytes)
    return True


def _release(n_bytes: int) -> None:
    global _held  # noqa: PLW0603
    with _lock:
        _held -= n_bytes

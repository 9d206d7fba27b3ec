"""A file that only grows, as numbered objects, since nothing can be appended to an object.

    metrics/000001-000000.jsonl    the first part of the first log
            000001-000001.jsonl    the part that is being written; replaced as it grows

The bytes of a log are those of its parts, in order. A file that was cut back, as when a run is
resumed at a checkpoint, becomes the first part of a new log, and only then are the older logs
deleted. So a reader has the old file or the new one at any time.

Each attempt begins a log of its own. So one that was taken over from can add nothing to the newest
log, whenever its last write arrives.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from qstore_ray.errors import StorageError

if TYPE_CHECKING:
    from qstore_ray.storage.objects import Objects

PART_BYTES = 256 * 1024
_TRIES = 10
_NUMBERS = re.compile(r"(\d{6})-(\d{6})\..*")


class PartedFile:
    """The parts of one file. One process writes them at a time.

    Args:
        file: the file on this machine, such as `metrics.jsonl`.
        guard: asks the lease; raises if this process may not write.
    """

    def __init__(
        self, objects: Objects, file: Path, guard: Callable[[], None] = lambda: None
    ) -> None:
        self._objects, self._file, self._guard = objects, file, guard
        self._has_begun = False
        self._log, self._part = 0, -1
        self._base = self._sent = 0
        self._tag: str | None = None
        self._old: list[str] = []
        self._inode = -1

    def fetch(self) -> bytes | None:
        """The bytes of the newest log; None if there is none."""
        log, keys = self._newest(self._keys())
        self._inode = -1  # `flush` compares again
        return self._joined(keys) if log else None

    def flush(self) -> None:
        """Write what the file has more than its objects.

        Raises:
            StorageError: another attempt writes them, or the object store cannot be used.
        """
        for _ in range(_TRIES):
            if self._is_flushed():
                return
            self._guard()  # if it is ours, the other has lost it: his last write has arrived
            self._inode = -1
        raise StorageError(
            f"another attempt writes {self._file.name} of this run",
            field="name",
            fix="Continue with existing='resume' when the other has ended.",
        )

    def _is_flushed(self) -> bool:
        """Write it; False if the objects are not as this process knows them."""
        try:
            with self._file.open("rb") as file:
                found = os.fstat(file.fileno())
                if found.st_ino != self._inode or found.st_size < self._sent:
                    self._guard()
                    self._attach(file.read())
                    self._inode = found.st_ino
                file.seek(self._base)
                data = file.read()
        except FileNotFoundError:
            return True
        begins = self._part == 0 and self._tag is None and bool(self._old)
        if self._base + len(data) == self._sent and not begins:
            return True
        key = self._key(self._log, self._part)
        if self._tag is None:
            tag = self._objects.create(key, data)
        else:
            tag = self._objects.replace(key, data, self._tag)
        if tag is None:
            return False
        self._has_begun = True
        self._tag, self._sent = tag, self._base + len(data)
        if len(data) >= PART_BYTES:
            self._part, self._base, self._tag = self._part + 1, self._sent, None
        while self._old:
            self._objects.delete(self._old.pop())
        return True

    def _attach(self, local: bytes) -> None:
        """Continue the newest log if this process has begun one and the file continues it, else
        begin a new one.
        """
        keys = self._keys()
        log, parts = self._newest(keys)
        known = self._joined(parts)
        if self._has_begun and log and local.startswith(known):
            self._log, self._part = log, len(parts)
            self._base = self._sent = len(known)
            self._old = [key for key in keys.values() if key not in parts]
        else:
            self._log = max((number for number, _ in keys), default=0) + 1
            self._part = self._base = self._sent = 0
            self._old = list(keys.values())
        self._tag = None

    def _keys(self) -> dict[tuple[int, int], str]:
        """All keys, by the numbers of log and part."""
        found = {}
        for key in self._objects.listing(self._file.stem):
            numbers = _NUMBERS.fullmatch(key.rpartition("/")[2])
            if numbers:
                found[int(numbers[1]), int(numbers[2])] = key
        return found

    @staticmethod
    def _newest(keys: dict[tuple[int, int], str]) -> tuple[int, list[str]]:
        """The number and the keys of the newest log that has its first part; 0 without one."""
        log = max((log for log, part in keys if part == 0), default=0)
        parts: list[str] = []
        while (log, len(parts)) in keys:
            parts.append(keys[log, len(parts)])
        return log, parts

    def _joined(self, keys: list[str]) -> bytes:
        found = [self._objects.read(key) for key in keys]
        return b"".join(each.data for each in found if each is not None)

    def _key(self, log: int, part: int) -> str:
        return f"{self._file.stem}/{log:06d}-{part:06d}{self._file.suffix}"

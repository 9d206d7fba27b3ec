"""Reading a metrics file while another process writes it, and after it was rewound."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import BinaryIO

from qstore_ray.errors import RunError
from qstore_ray.track.base import Record
from qstore_ray.track.jsonl import decode


class Tail:
    """Reads the records that were appended to a metrics file since the last read, each once.

    The file may appear late, end in the middle of a line, and be replaced by a shorter one that
    begins with the same lines. A record is identified by its attempt, that is the `start` record
    before it and the position of this record among equal ones: all records after a new start are
    new, even if an attempt repeats an epoch.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._unfinished = b""
        self._line = 0
        self._starts: Counter[bytes] = Counter()
        self._attempt: tuple[bytes, int] = (b"", 0)
        self._seen: set[tuple[object, ...]] = set()
        self._errors: list[RunError] = []

    def read(self) -> list[Record]:
        """New records, in order; a damaged line is kept for `take_errors` and passed over."""
        if not self._opened():
            return []
        assert self._file is not None
        *lines, self._unfinished = (self._unfinished + self._file.read()).split(b"\n")
        return [record for line in lines if (record := self._new_record(line)) is not None]

    def take_errors(self) -> list[RunError]:
        """The errors met since the last call."""
        errors, self._errors = self._errors, []
        return errors

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _opened(self) -> bool:
        """Open the file at the last position, or at its beginning if the file was replaced.

        The old file stays open until then, so that its inode number cannot be given to a new one.
        """
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return self._file is not None
        if self._file is not None:
            held = os.fstat(self._file.fileno())
            same = (held.st_dev, held.st_ino) == (found.st_dev, found.st_ino)
            if same and found.st_size >= self._file.tell():
                return True
            self._file.close()
        self._file = self._path.open("rb")
        self._unfinished, self._line = b"", 0
        self._starts, self._attempt = Counter(), (b"", 0)
        return True

    def _new_record(self, line: bytes) -> Record | None:
        """The record on a line; None if it was returned before or is damaged."""
        self._line += 1
        try:
            record = decode(line, self._path, self._line)
        except RunError as exc:
            self._errors.append(exc)
            return None
        event = record.get("event")
        if event == "start":
            self._starts[line] += 1
            self._attempt = (line, self._starts[line])
        place = (record.get("epoch"), record.get("step"), record.get("message"))
        key = (self._attempt, event, *place)
        if key in self._seen:
            return None
        self._seen.add(key)
        return record

"""What runs need of an object store: whole objects, and two writes that refuse under a condition.

A folder of this machine has atomic renames and locks of the system instead, and does not use this.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, Protocol


class StoredObject(NamedTuple):
    """An object that was read. `tag` changes with each write of it."""

    data: bytes
    tag: str


class ObjectFacts(NamedTuple):
    """What is known of an object unread; `modified` is by the clock of the store."""

    size: int
    tag: str
    modified: datetime


class Objects(Protocol):
    """The objects below one address. Keys are relative to it: `digits/run.json`.

    Every write is whole or not at all. Every method may raise `StorageError`.
    """

    def read(self, key: str) -> StoredObject | None:
        """An object; None if it is absent."""
        ...

    def read_range(self, key: str, start: int, end: int) -> bytes:
        """The bytes of an object from `start` to before `end`; of an absent one, an error."""
        ...

    def fetch(self, key: str, path: Path) -> bool:
        """Write an object to a file, part by part; whether there is such an object."""
        ...

    def facts(self, key: str) -> ObjectFacts | None:
        """Size, tag and time of an object; None if it is absent."""
        ...

    def listing(self, prefix: str = "") -> Mapping[str, ObjectFacts]:
        """The objects below a key, by their keys, in order."""
        ...

    def names(self) -> list[str]:
        """The first parts of the keys that have more than one part, in order."""
        ...

    def put(self, key: str, data: bytes | Path) -> str:
        """Write an object, whatever was there, of bytes or of a file; its tag."""
        ...

    def create(self, key: str, data: bytes) -> str | None:
        """Write an object if it is absent; its tag, or None if there is another one."""
        ...

    def replace(self, key: str, data: bytes, tag: str) -> str | None:
        """Write an object if it is still the one with this tag; its new tag, or None if not."""
        ...

    def delete(self, key: str) -> None:
        """Delete an object; nothing happens if it is absent."""
        ...

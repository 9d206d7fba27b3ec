"""The catalogue: every record of the service, in one SQLite file.

A record is a pydantic model kept as JSON, beside the few columns that are searched. Each call opens
its own connection, so that request threads and job threads share nothing but the file; SQLite's
write-ahead log lets them read while one of them writes.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Literal, TypeAlias, TypeVar

from pydantic import BaseModel

from qstore_ray.errors import ServiceError, UnknownNameError

Kind: TypeAlias = Literal["dataset", "job", "project", "pipeline"]
R = TypeVar("R", bound=BaseModel)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS records (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL, id TEXT NOT NULL, source TEXT, status TEXT, record TEXT NOT NULL,
    UNIQUE (kind, id)
);
CREATE TABLE IF NOT EXISTS renderings (
    sha256 TEXT NOT NULL, format TEXT NOT NULL, rendered TEXT NOT NULL,
    PRIMARY KEY (sha256, format)
);
"""
_PATIENCE = 30.0  # seconds to wait for another writer


def new_id() -> str:
    """A fresh identifier: 16 random hexadecimal digits."""
    return secrets.token_hex(8)


class Catalogue:
    """Records by kind and id, in the order in which they were made.

    Raises:
        ServiceError: the file cannot be opened or written (any method).
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._connected() as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(_SCHEMA)

    def put(
        self, kind: Kind, id_: str, record: BaseModel, *, source: str = "", status: str = ""
    ) -> None:
        """Store a record, in the place of an earlier one with the same id."""
        with self._connected() as connection:
            connection.execute(
                "INSERT INTO records (kind, id, source, status, record) VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT (kind, id) DO UPDATE SET "
                "source = excluded.source, status = excluded.status, record = excluded.record",
                (kind, id_, source, status, record.model_dump_json()),
            )

    def get(self, kind: Kind, id_: str, model: type[R]) -> R:
        """The record of this id.

        Raises:
            UnknownNameError: no such record exists.
        """
        with self._connected() as connection:
            row = connection.execute(
                "SELECT record FROM records WHERE kind = ? AND id = ?", (kind, id_)
            ).fetchone()
        if row is None:
            raise UnknownNameError(
                f"no {kind} of this id", field="id", value=id_, fix="GET /datasets lists datasets."
            )
        return model.model_validate_json(row[0])

    def page(
        self, kind: Kind, model: type[R], *, offset: int, limit: int, source: str, status: str
    ) -> tuple[list[R], int]:
        """Records `offset` to `offset + limit` of those asked for, and how many there are in all.

        An empty `source` or `status` asks for all of them.
        """
        chosen = "kind = ?1 AND (?2 = '' OR source = ?2) AND (?3 = '' OR status = ?3)"
        values = (kind, source, status)
        with self._connected() as connection:
            rows = connection.execute(
                f"SELECT record FROM records WHERE {chosen} ORDER BY position LIMIT ?4 OFFSET ?5",  # noqa: S608, the text is the constant above
                (*values, limit, offset),
            ).fetchall()
            (count,) = connection.execute(
                f"SELECT count(*) FROM records WHERE {chosen}",  # noqa: S608, the same
                values,
            ).fetchone()
        return [model.model_validate_json(row[0]) for row in rows], count

    def every(self, kind: Kind, model: type[R]) -> list[R]:
        """All records of a kind."""
        return self.page(kind, model, offset=0, limit=-1, source="", status="")[0]

    def remove(self, kind: Kind, id_: str) -> None:
        """Delete a record; do nothing if it does not exist."""
        with self._connected() as connection:
            connection.execute("DELETE FROM records WHERE kind = ? AND id = ?", (kind, id_))

    def rendering(self, sha256: str, format_: str) -> str | None:
        """Hash of the file that holds the content of `sha256` in another format, if any."""
        with self._connected() as connection:
            row = connection.execute(
                "SELECT rendered FROM renderings WHERE sha256 = ? AND format = ?",
                (sha256, format_),
            ).fetchone()
        return None if row is None else str(row[0])

    def add_rendering(self, sha256: str, format_: str, rendered: str) -> None:
        """Remember the file that holds the content of `sha256` in another format."""
        with self._connected() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO renderings VALUES (?, ?, ?)", (sha256, format_, rendered)
            )

    def remove_renderings(self, sha256: str) -> list[str]:
        """Forget the other formats of `sha256`; their hashes."""
        with self._connected() as connection:
            rows = connection.execute(
                "DELETE FROM renderings WHERE sha256 = ? RETURNING rendered", (sha256,)
            ).fetchall()
        return [str(row[0]) for row in rows]

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        """A connection and a transaction around the block; sqlite3's errors translated."""
        try:
            with closing(sqlite3.connect(self._path, timeout=_PATIENCE)) as connection, connection:
                yield connection
        except sqlite3.Error as exc:
            raise ServiceError(
                f"the catalogue cannot be used: {exc}",
                value=str(self._path),
                fix="Check that the folder is writable, has room, and holds a catalogue of ours.",
            ) from exc

"""Where a study is kept: Optuna's journal file, or a database by its URL.

The journal has one JSON object a line, each on disk before the operation counts. A process that is
killed while it writes leaves part of a last line; it had not happened yet, and is cut off before
anything else is written behind it. Any other damage is an error that names the line.

What Optuna and SQLAlchemy raise is translated here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from qstore_ray.errors import ConfigError, MissingDependencyError, StudyError

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from sqlalchemy.engine import URL

JOURNAL = "study.journal"

# Optuna holds a lock file beside the journal while it writes, for milliseconds. One that a killed
# writer has left is taken away after this many seconds in which nothing was written.
_GRACE = 5


def open_storage(folder: Path, url: str | None, *, writing: bool) -> BaseStorage:
    """The storage of a study: its journal in `folder`, or the database at `url`.

    Args:
        writing: this process alone writes to the study, so a torn last line may be cut off.

    Raises:
        ConfigError: not the URL of a database.
        MissingDependencyError: the database's driver is not installed.
        StudyError: locked, damaged, or out of reach.
    """
    import optuna
    from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock

    optuna.logging.set_verbosity(optuna.logging.WARNING)  # we say ourselves what happens
    if url is not None:
        return _database(url)
    file = folder / JOURNAL
    with translated(str(file)):
        if file.exists():
            _check_journal(file, mend=writing)
        lock = JournalFileSymlinkLock(str(file), grace_period=_GRACE)
        backend = JournalFileBackend(str(file), lock_obj=lock)
        try:
            return optuna.storages.JournalStorage(backend)
        except (AssertionError, AttributeError, IndexError, KeyError, TypeError, ValueError) as exc:
            # The journal is replayed here; a record that lacks something ends in one of these.
            raise _damaged(str(file), f"its records do not fit together ({exc!r})") from exc


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Raise what a storage raises as a `StudyError` that names the storage.

    Raises:
        StudyError: the storage is locked, full, damaged or out of reach.
    """
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (SQLAlchemyError, StorageInternalError) as exc:
        raise _database_error(where, exc) from exc
    except OSError as exc:
        reason = exc.strerror or type(exc).__name__
        raise StudyError(
            f"cannot use the storage of the study: {reason}",
            field="storage",
            value=where,
            fix="Give a folder that you may write to and that has room, then --resume.",
        ) from exc


def name_of(folder: Path, url: str | None) -> str:
    """The storage as messages name it: without a password.

    Raises:
        ConfigError: not the URL of a database.
    """
    return str(folder / JOURNAL) if url is None else _parsed(url).render_as_string()


def _check_journal(file: Path, *, mend: bool) -> None:
    data = file.read_bytes()
    whole = data.rfind(b"\n") + 1
    for number, line in enumerate(data[:whole].splitlines(), start=1):
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if not isinstance(record, dict) or not isinstance(record.get("op_code"), int):
            raise _damaged(str(file), f"line {number} is no record")
    if mend and whole < len(data):
        with file.open("r+b") as journal:
            journal.truncate(whole)


def _parsed(url: str) -> URL:
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError

    fix = "For example sqlite:///runs/studies.db, or leave it out for a journal file."
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as exc:  # whose text may hold a password, as `url` may
        raise ConfigError("not the URL of a database", field="storage_url", fix=fix) from exc
    try:
        parsed.get_dialect()
    except NoSuchModuleError as exc:
        raise ConfigError(
            "no such kind of database", field="storage_url", value=parsed.drivername, fix=fix
        ) from exc
    return parsed


def _database(url: str) -> BaseStorage:
    import optuna

    where = _parsed(url).render_as_string()  # the password is hidden
    try:
        with translated(where):
            return optuna.storages.RDBStorage(url)
    except ImportError as exc:
        raise MissingDependencyError(
            "the driver of this database is not installed",
            field="storage_url",
            value=where,
            fix="pip install psycopg2-binary for PostgreSQL, PyMySQL for MySQL.",
        ) from exc


def _database_error(where: str, exc: Exception) -> StudyError:
    causes = f"{exc} {exc.__cause__}".lower()
    if "locked" in causes:
        message, fix = (
            "the database is locked by another process",
            "Wait for it or end it, then --resume; a journal file (no storage_url) does not lock.",
        )
    elif "not a database" in causes or "malformed" in causes or "no such table" in causes:
        message, fix = "the database is damaged, or not one of Optuna's", _RESTORE
    else:
        message, fix = (
            f"cannot use the database: {type(exc.__cause__ or exc).__name__}",
            "Check that its server runs and that you may write to it, then --resume.",
        )
    return StudyError(message, field="storage", value=where, fix=fix)


_RESTORE = "Put back a copy of it, or begin again under another name or with --fresh."


def _damaged(where: str, reason: str) -> StudyError:
    return StudyError(
        f"the storage of the study is damaged: {reason}", field="storage", value=where, fix=_RESTORE
    )

"""What the errors of a study's storage mean: one place that knows SQLAlchemy's and the drivers'.

Drivers say what went wrong by SQLSTATE, by MySQL's numbers, or, where a connection could not even
be made, in words alone. `trouble_of` makes one of a few kinds of it, and each kind has a message.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, TypeVar

from qstore_ray.errors import StudyError
from qstore_ray.retry import call_with_retries
from qstore_ray.track.logs.logging import announce

T = TypeVar("T")

AWAY_SECONDS: Final = 300
"""How long a search waits for the server of its database."""


class Trouble(Enum):
    """A kind of error of a storage."""

    LOGIN = "login"
    NO_DATABASE = "no database"
    NO_FILE = "no file"
    READ_ONLY = "read-only"
    RIGHTS = "rights"
    AWAY = "away"
    FULL = "full"
    LOCKED = "locked"
    DAMAGED = "damaged"
    OTHER = "other"


@dataclass(frozen=True)
class _Signs:
    states: frozenset[str] = frozenset()
    """SQLSTATE, as PostgreSQL's drivers have it."""
    numbers: frozenset[int] = field(default_factory=frozenset)
    """MySQL's."""
    words: str = r"(?!)"


_SIGNS: Final[dict[Trouble, _Signs]] = {
    Trouble.LOGIN: _Signs(
        frozenset({"28000", "28P01"}),
        frozenset({1044, 1045, 1698}),
        r"password authentication failed|no password supplied|no pg_hba\.conf entry"
        r"|authentication failed for user|role \"[^\"]*\" does not exist|access denied for user",
    ),
    Trouble.NO_DATABASE: _Signs(
        frozenset({"3D000"}),
        frozenset({1049}),
        r"database \"[^\"]*\" does not exist|unknown database",
    ),
    Trouble.NO_FILE: _Signs(words=r"unable to open database file"),
    Trouble.READ_ONLY: _Signs(words=r"readonly database"),
    Trouble.RIGHTS: _Signs(
        frozenset({"42501", "25006"}),
        frozenset({1142, 1143, 1227, 1290}),
        r"permission denied|read-only",
    ),
    Trouble.FULL: _Signs(
        frozenset({"53100"}), frozenset({1021, 1114}), r"disk is full|no space left"
    ),
    Trouble.AWAY: _Signs(
        frozenset(
            {"08000", "08001", "08003", "08004", "08006", "53300", "57P01", "57P02", "57P03"}
        ),
        frozenset({1040, 1053, 2002, 2003, 2005, 2006, 2013, 4031}),
        r"connection refused|connection failed|connection timeout|connection is (lost|closed)"
        r"|connection reset|server closed the connection|consuming input failed|timed out"
        r"|timeout expired|could not (connect|translate host)|failed to resolve host"
        r"|starting up|shutting down|terminating connection|too many (clients|connections)"
        r"|no route to host|network is unreachable|broken pipe|gone away",
    ),
    Trouble.LOCKED: _Signs(frozenset({"40P01", "55P03"}), frozenset({1205, 1213}), r"is locked"),
    Trouble.DAMAGED: _Signs(
        frozenset({"42P01", "42703"}),
        frozenset({1054, 1146}),
        r"not a database|malformed|no such (table|column)|has no column|unknown column"
        r"|column \S+ does not exist",
    ),
}
"""In the order in which they are looked for: a refused login is a failed connection too."""


def trouble_of(error: BaseException) -> Trouble:
    """What kind of error a storage has raised."""
    chain = list(_chain(error))
    texts = " ".join(str(link) for link in chain).lower()
    states = {getattr(link, "sqlstate", None) or getattr(link, "pgcode", None) for link in chain}
    numbers = {link.args[0] for link in chain if link.args and isinstance(link.args[0], int)}
    for trouble, signs in _SIGNS.items():
        if states & signs.states or numbers & signs.numbers or re.search(signs.words, texts):
            return trouble
    lost = any(getattr(link, "connection_invalidated", False) for link in chain)
    return Trouble.AWAY if lost else Trouble.OTHER


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Raise what a storage raises as a `StudyError` that names the storage.

    Raises:
        StudyError: the storage is locked, full, damaged, out of reach, or refuses this user.
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
            fix="Give a folder that you may write to and that has room, then existing='resume'.",
        ) from exc


def damaged_error(where: str, reason: str) -> StudyError:
    """The error for a storage whose contents cannot be what was written."""
    return StudyError(
        f"the storage of the study is damaged: {reason}", field="storage", value=where, fix=_RESTORE
    )


_RESTORE: Final = (
    "Put back a copy of it, or begin again under another name or with existing='replace'."
)
_MEANINGS: Final[dict[Trouble, tuple[str, str]]] = {
    Trouble.LOGIN: (
        "the database refuses this user or password",
        (
            "Set QSTORE_STORAGE_USERNAME and QSTORE_STORAGE_PASSWORD (for PostgreSQL also "
            "PGPASSWORD or ~/.pgpass), and check that the user may log in from this machine."
        ),
    ),
    Trouble.NO_DATABASE: (
        "there is no such database",
        "Create it (for PostgreSQL `createdb NAME`), or correct its name in tune.storage_url.",
    ),
    Trouble.NO_FILE: (
        "cannot open the file of the database",
        "Create its folder, or correct the path in tune.storage_url.",
    ),
    Trouble.READ_ONLY: (
        "the file of the database is read-only",
        "Make it and its folder writable, or give another file in tune.storage_url.",
    ),
    Trouble.RIGHTS: (
        "the database does not let this user create and write tables",
        "GRANT CREATE, USAGE ON SCHEMA public TO the user, or log in as another one.",
    ),
    Trouble.AWAY: (
        "the database's server cannot be reached",
        (
            "Check that it runs, and host and port in tune.storage_url; existing='resume' "
            "continues a search that had begun, which has kept all that was done."
        ),
    ),
    Trouble.FULL: ("the database has no room left", "Free some space, then existing='resume'."),
    Trouble.LOCKED: (
        "the database is locked by another process",
        (
            "Wait for it or end it, then existing='resume'; a journal file (no storage_url) does "
            "not lock."
        ),
    ),
    Trouble.DAMAGED: (
        "the database is damaged, or not one of Optuna's",
        "Put back a copy of it, or give another database in tune.storage_url.",
    ),
}


def _database_error(where: str, exc: Exception) -> StudyError:
    message, fix = _MEANINGS.get(
        trouble_of(exc),
        (
            f"cannot use the database: {type(exc.__cause__ or exc).__name__}",
            "Check that its server runs and that you may write to it, then existing='resume'.",
        ),
    )
    return StudyError(message, field="storage", value=where, fix=fix)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error, what SQLAlchemy wraps in it, and its causes."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        link = waiting.pop(0)
        if link is None or id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        waiting += [link.__cause__, getattr(link, "orig", None)]


def while_away(call: Callable[[], T], where: str, leave: threading.Event) -> T:
    """Call `call`, and again while the server of the database cannot be reached; says so once.

    Args:
        call: may be repeated, also after its effect was kept and only the answer was lost.
        leave: when set, nothing is waited for any more.

    Raises:
        StudyError: the server was away for too long.
        Exception: any other error of `call`, as it was.
    """
    said: list[str] = []

    def say() -> None:
        if not said:
            said.append(where)
            minutes = AWAY_SECONDS // 60
            announce(
                "warning",
                f"the database {where} cannot be reached; the search waits for it, {minutes} "
                "minutes at most",
            )

    result = call_with_retries(
        call, retry_on=_is_away, seconds=AWAY_SECONDS, leave=leave, between=say
    )
    if said:
        announce("note", f"the database {where} answers again")
    return result


def _is_away(error: BaseException) -> bool:
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    raised = error.__cause__ if isinstance(error, StudyError) else error
    return isinstance(raised, SQLAlchemyError | StorageInternalError) and (
        trouble_of(raised) is Trouble.AWAY
    )

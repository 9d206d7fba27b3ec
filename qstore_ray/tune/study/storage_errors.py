"""What an error of a study's storage means, in a message; and waiting for a server that is away."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

from qstore_ray.errors import StudyError
from qstore_ray.retry import call_with_retries
from qstore_ray.track.logs.logging import announce
from qstore_ray.tune.study.trouble import Trouble, trouble_of

T = TypeVar("T")

AWAY_SECONDS: Final = 300
"""How long a search waits for the server of its database."""


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

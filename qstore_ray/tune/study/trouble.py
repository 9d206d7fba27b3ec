"""What kind of error a study's storage has raised, from the marks of each database's drivers.

Drivers say what went wrong by SQLSTATE, by MySQL's numbers, or, where a connection could not even
be made, in words alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Final


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
    """The marks of one kind of error."""

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

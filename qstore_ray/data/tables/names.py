"""What the name of a column says by itself: the usual names of labels, indexes, and no name."""

from __future__ import annotations

import re
from collections.abc import Sequence

LABELS = ("label", "labels", "target", "class", "y")
_SHOWN = 20
_ROWS = ("rownames", "row.names", "row_names", "rowid", "level_0")
_FIRST = ("X", "index")
_ID = re.compile(r"(.*[\s_.-])?(id|Id|ID|uid|UID|uuid|UUID|guid|GUID)|.*[a-z](Id|ID)", re.DOTALL)
_UNNAMED = re.compile(r"Unnamed: \d+(_level_\d+)?")


def is_unnamed(name: str) -> bool:
    """Whether a column has no name of its own."""
    return not name.strip() or _UNNAMED.fullmatch(name) is not None


def may_be_index(name: str, place: int) -> bool:
    """Whether the name of the column at this place suggests a row identifier."""
    return tells_rows(name) or (place == 0 and name in _FIRST)


def tells_rows(name: str) -> bool:
    """Whether a name has no other meaning: row names, or what ends with id as a word of its own."""
    return name in _ROWS or _ID.fullmatch(name) is not None


def named(names: Sequence[str]) -> tuple[str, ...]:
    """The names without blanks around them; a column without one by its place, as pandas does."""
    stripped = [name.strip() for name in names]
    return tuple(name or f"Unnamed: {place}" for place, name in enumerate(stripped))


def listed(names: Sequence[str]) -> str:
    """The names for a message; of many the first ones."""
    return ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")

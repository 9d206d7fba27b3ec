"""What the name of a column says by itself: the usual names of labels, indexes, and no name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import count

LABELS = ("label", "labels", "target", "class", "y")
_SHOWN = 20
_ROWS = ("rownames", "row.names", "row_names", "rowid", "level_0")
_FIRST = ("X", "index")
_NUMBERED = re.compile(
    r"#|idx|row|(row|obs|record|case|serial|sample|sr|s|sl)?[\s_.-]*(no|nr|num|number)\.?|obs|observation"
    r"|sno|slno",
    re.IGNORECASE,
)
_ID = re.compile(r"(.*[\s_.-])?(id|Id|ID|uid|UID|uuid|UUID|guid|GUID)|.*[a-z](Id|ID)", re.DOTALL)
_UNNAMED = re.compile(r"Unnamed: \d+(\.\d+)?(_level_\d+)?")


def is_unnamed(name: str) -> bool:
    """Whether a column has no name of its own."""
    return not name.strip() or _UNNAMED.fullmatch(name) is not None


def may_be_index(name: str, place: int) -> bool:
    """Whether the name of the column at this place suggests a row identifier."""
    return tells_rows(name) or counts_rows(name) or (place == 0 and name in _FIRST)


def counts_rows(name: str) -> bool:
    """Whether a name is a usual one of the number of a row, which may mean another number too."""
    return _NUMBERED.fullmatch(name) is not None


def tells_rows(name: str) -> bool:
    """Whether a name has no other meaning: row names, or what ends with id as a word of its own."""
    return name in _ROWS or _ID.fullmatch(name) is not None


def named(names: Sequence[str]) -> tuple[str, ...]:
    """The names without blanks around them; a column without one by its place, as pandas does.

    A table that was written twice with its index has a column without a name and `Unnamed: 0`.
    """
    stripped = [name.strip() for name in names]
    return tuple(
        name or _free(f"Unnamed: {place}", stripped) for place, name in enumerate(stripped)
    )


def _free(name: str, names: Sequence[str]) -> str:
    """The name, or that with the next number behind it, as no other column has it."""
    numbered = (f"{name}.{number}" for number in count(1))
    return name if name not in names else next(free for free in numbered if free not in names)


def listed(names: Sequence[str]) -> str:
    """The names for a message; of many the first ones."""
    return ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")

"""What became of one key of an old configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

KeyState: TypeAlias = Literal["kept", "renamed", "changed", "default", "dropped", "unknown"]

STATES: Final[dict[KeyState, str]] = {
    "kept": "the same name and meaning",
    "renamed": "another name, the same meaning",
    "changed": "it does not do the same here",
    "default": "it was not written, and the default here differs: the old one is written",
    "dropped": "there is no counterpart",
    "unknown": "the value cannot be known from the file",
}
"""Every state, and what it means."""


@dataclass(frozen=True, kw_only=True)
class MigratedKey:
    """One key.

    Args:
        old: class and field, such as `TrainingConfig.epochs`.
        state: one of `STATES`.
        value: as it was written; None for secrets, and for what cannot be known.
        new: the field of the job, `trainer.epochs`; empty if there is none.
        new_value: what is written there.
        text: why, and what to do.
        line: of the old file, or 0.
    """

    old: str
    state: KeyState
    value: Any = None
    new: str = ""
    new_value: Any = None
    text: str = ""
    line: int = 0

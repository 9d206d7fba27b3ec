"""What was found, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from qstore_ray.errors import QStoreError

State = Literal["ok", "note", "fault"]


@dataclass(frozen=True)
class Diagnosis:
    """One thing that was looked at.

    Attributes:
        name: what was looked at, for example "shared memory".
        state: `ok`; `note`: works, and could be better; `fault`: something will fail.
        found: what was there.
        advice: what to type or change; "" if nothing.
    """

    name: str
    state: State
    found: str
    advice: str = ""

    @classmethod
    def of_error(cls, name: str, error: QStoreError) -> Diagnosis:
        """The fault that an error of ours describes."""
        return cls(name, "fault", error.message, error.fix)

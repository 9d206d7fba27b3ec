"""An old configuration object: its class, its fields, and what could not be read of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeGuard

from qstore_ray.types import Table

_LARGEST = 1e300

OLD_CLASSES = (
    "TrainingConfig",
    "DatasetConfig",
    "QuantumModel",
    "MLflowConfig",
    "OptunaConfig",
    "GridSearch",
    "RandomSearch",
    "BayesianOptimizer",
)
"""Those of Q-Store that become part of a job."""


@dataclass(frozen=True)
class Unread:
    """A value that only running the program would give; `text` is its source."""

    text: str

    def __repr__(self) -> str:
        return self.text


@dataclass(frozen=True)
class OldTable:
    """The fields of one object of the old configuration.

    Args:
        kind: name of its class.
        values: by field, as Python values; `Unread` for what is computed; an `OldTable` for an
            object inside, such as a callback.
        line: of its file, or 0. lines: of each field.
        has_more: whether it takes fields from a table (`**options`) that cannot be read.
        scope: first line of the function that makes it, or 0.
    """

    kind: str
    values: Table = field(default_factory=dict)
    line: int = 0
    lines: Mapping[str, int] = field(default_factory=dict)
    has_more: bool = False
    scope: int = 0


def is_read(value: object) -> bool:
    """True if TOML can have a value: no part of it is computed by the program or an object of the
    old packages, and no list in it holds None.
    """
    if isinstance(value, Mapping):
        return all(map(is_read, value.values()))
    if isinstance(value, list | tuple):
        return all(each is not None and is_read(each) for each in value)
    return not isinstance(value, Unread | OldTable)


def is_number(value: object) -> TypeGuard[float]:
    """True for a finite number; a truth value is none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LARGEST

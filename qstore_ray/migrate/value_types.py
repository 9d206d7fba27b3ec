"""The types that fields of old configurations have: a wrong one is refused by name.

Only fields that are computed with are listed. The others are written into the job as they are, and
its own checks refuse them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from qstore_ray.errors import DataError
from qstore_ray.migrate.old_table import OldTable, Unread

_NUMBER: Final = (int, float)
_LIST: Final = (list, tuple)
_TYPES: Final[dict[str, tuple[tuple[type, ...], str]]] = {
    "optimizer": ((str,), "a name"),
    "gradient_method": ((str,), "a name"),
    "entanglement": ((str,), "a name"),
    "lr_scheduler": ((str,), "a name"),
    "learning_rate": (_NUMBER, "a number"),
    "lr_scheduler_params": ((Mapping,), "a table"),
    "test_split": (_NUMBER, "a number"),
    "image_size": (_LIST, "a list of two numbers"),
    "feature_columns": (_LIST, "a list of names"),
}
_INSIDE: Final = {
    "lr_scheduler_params": ("T_max", "step_size", "gamma", "eta_min", "max_lr", "base_lr", "min_lr",
                            "warmup_steps", "total_steps", "factor"),
}  # fmt: skip
"""Tables inside a table, and their numbers."""


def check_types(table: OldTable) -> None:
    """Check the fields of one object of Q-Store, and of the tables inside it.

    Raises:
        DataError: a value has a type that the field never had.
    """
    for key, value in table.values.items():
        if _has_gap(value):
            raise DataError(
                "a list has an entry that is null",
                field=f"{table.kind}.{key}",
                fix="Leave the entry out.",
            )
        if key in _TYPES:
            types, name = _TYPES[key]
            _check(f"{table.kind}.{key}", value, types, name)
        for inner in _INSIDE.get(key, ()):
            if isinstance(value, Mapping):
                _check(f"{table.kind}.{key}.{inner}", value.get(inner), _NUMBER, "a number")
        if key == "source_params" and isinstance(value, dict):
            check_types(OldTable(key, value))


def _has_gap(value: Any) -> bool:
    """Whether a list has None in it, for which TOML has no value."""
    if isinstance(value, Mapping):
        return any(map(_has_gap, value.values()))
    return isinstance(value, _LIST) and any(each is None or _has_gap(each) for each in value)


def _check(field: str, value: Any, types: tuple[type, ...], name: str) -> None:
    if value is None or isinstance(value, (Unread, OldTable)):
        return
    is_wrong = not isinstance(value, types)
    if types is _NUMBER and not is_wrong:
        is_wrong = isinstance(value, bool) or not math.isfinite(value)
    if is_wrong:
        raise DataError(
            f"this field is {name}",
            field=field,
            value=value,
            fix=f"Write {name}.",
        )

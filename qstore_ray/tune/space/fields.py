"""Fields of a job by their dotted name: which there are, and which can be searched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from pydantic import BaseModel

from qstore_ray.config import Config
from qstore_ray.errors import ConfigError, unknown_name_error

Values: TypeAlias = Mapping[str, Any]
"""What a trial tries: dotted field of the job → value, of any type that a TOML file can hold."""

SEARCHED = ("dataset", "model", "trainer")
"""The parts of a job that decide its result; the others say where it runs and what is kept."""


def check_field(job: Config, field: str) -> None:
    """Check that the job has a field of this name, as far as its models define it.

    A key of a free table (`trainer.optimizer_options.beta1`) is left to the class that reads it.

    Raises:
        UnknownNameError: there is no such field; the nearest name is proposed.
        ConfigError: an index that a list does not have, or a field of a single value.
    """
    keys = field.split(".")
    if keys[0] not in SEARCHED or len(keys) == 1:
        raise unknown_name_error("field to search", field, _names(job, keys[0]), field=field)
    node: Any = job
    for position, key in enumerate(keys):
        way = ".".join(keys[:position])
        if isinstance(node, BaseModel):
            known = type(node).model_fields
            if key not in known:
                names = [f"{way}.{name}" for name in known]
                raise unknown_name_error("field", field, names, field=field)
            node = getattr(node, key)
        elif isinstance(node, list | tuple):
            node = _item(node, key, way, field)
        elif isinstance(node, dict):
            node = node.get(key)
        elif node is None:
            return  # a part that the job leaves out, or a key of a free table
        else:
            raise ConfigError(
                f"{way} is a single value, it has no fields",
                field=field,
                value=node,
                fix=f"Search {way} itself.",
            )


def _item(items: list[Any] | tuple[Any, ...], key: str, way: str, field: str) -> Any:
    if not key.isdigit() or int(key) >= len(items):
        fix = f"Use an index from 0 to {len(items) - 1}." if items else f"Search {way} itself."
        raise ConfigError(
            f"{way} is a list of {len(items)} in this job", field=field, value=key, fix=fix
        )
    return items[int(key)]


def _names(job: Config, part: str) -> list[str]:
    """Fields to propose instead: those of the parts that can be searched."""
    parts = [part] if part in SEARCHED else [p for p in SEARCHED if p in type(job).model_fields]
    return [f"{p}.{name}" for p in parts for name in type(getattr(job, p)).model_fields]

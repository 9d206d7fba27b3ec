"""TOML files read, and changed field by field."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qstore_ray.errors import ConfigError
from qstore_ray.types import Table

_DEEPEST = 50


def read_toml(path: str | Path) -> Table:
    """The TOML file at `path` as nested dictionaries.

    Raises:
        ConfigError: the file is missing, unreadable or not TOML; the message gives the line.
    """
    file = Path(path)
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as exc:
        reason = exc.strerror or type(exc).__name__
        raise ConfigError(
            f"cannot read the configuration file: {reason}",
            value=str(file),
            fix="Give the path of a TOML file, for example jobs/digits.toml.",
        ) from exc
    except UnicodeDecodeError as exc:
        raise ConfigError(
            f"not a TOML file: its byte {exc.start} is not UTF-8 text",
            value=str(file),
            fix="Give a TOML file; an editor can save text as UTF-8.",
        ) from exc
    except tomllib.TOMLDecodeError as exc:
        raise ConfigError(
            f"not a TOML file: {exc}", value=str(file), fix="Fix that line; text needs quotes."
        ) from exc
    except ValueError as exc:  # a number: Python reads 4,300 digits
        raise ConfigError(
            f"a number in the TOML file cannot be read: {exc}",
            value=str(file),
            fix="Write a number of fewer digits.",
        ) from exc
    except RecursionError as exc:
        raise _depth_error(file) from exc
    if _is_deeper(values, _DEEPEST):
        raise _depth_error(file)
    return values


def _is_deeper(values: Any, most: int) -> bool:
    """Whether tables and lists lie more than `most` deep in each other."""
    level = [values]
    for _ in range(most):
        inner = [each for each in level if isinstance(each, dict | list)]
        level = [v for each in inner for v in (each.values() if isinstance(each, dict) else each)]
        if not level:
            return False
    return any(isinstance(each, dict | list) for each in level)


def _depth_error(file: Path) -> ConfigError:
    return ConfigError(
        f"the tables and lists of the TOML file lie more than {_DEEPEST} deep in each other",
        value=str(file),
        fix="Give a job file, for example jobs/digits.toml.",
    )


def apply_overrides(values: Table, overrides: Sequence[str]) -> Table:
    """A copy of `values` with each `a.b=c` set; `c` is read as TOML, else taken as text.

    `trainer.epochs=5`, `trainer.optimizer.name=sgd` and `dataset.split.test=0.3` all work; a number
    between dots is an index into a list (`dataset.preprocessing.0.name=minmax`), and a key that has
    dots itself may stand in quotes (`tune.space."model.layers".high=4`), as in TOML.

    Raises:
        ConfigError: an override is not written `key=value`, or its key fits no place.
    """
    result: Table = json.loads(json.dumps(values, default=str))
    for override in overrides:
        path, equals, text = override.partition("=")
        if not equals or not path.strip():
            raise ConfigError(
                "an override is written key=value",
                value=override,
                fix="For example trainer.epochs=5.",
            )
        set_field(result, path.strip(), _toml_value(text.strip()))
    return result


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"v = {text}")["v"]
    except (ValueError, RecursionError):  # no TOML, or a number of thousands of digits
        return text


def set_field(values: Table, field: str, value: Any) -> None:
    """Set the dotted `field` in nested tables and lists, as `apply_overrides` does, in place.

    Raises:
        ConfigError: the path has an index outside a list, or continues below a plain value.
    """
    node: Any = values
    keys = _keys(values, field)
    for position, key in enumerate(keys):
        last = position == len(keys) - 1
        if isinstance(node, list):
            if not key.isdigit() or int(key) >= len(node):
                raise ConfigError(
                    f"{'.'.join(keys[:position])} is a list of {len(node)}",
                    field=field,
                    value=key,
                    fix=f"Use an index from 0 to {len(node) - 1} here.",
                )
            index: Any = int(key)
        elif isinstance(node, dict):
            index = key
            if not last:
                node.setdefault(key, {})
        else:
            raise ConfigError(
                f"{'.'.join(keys[:position])} is a single value, it has no fields",
                field=field,
                value=node,
            )
        if last:
            node[index] = value
        else:
            node = node[index]


def _keys(values: Table, field: str) -> list[str]:
    """The keys that lead to `field`: a key of `values` that has dots itself is one of them.

    Raises:
        ConfigError: quotes that do not end, or two keys without a dot between them.
    """
    keys = _quoted_keys(field) if '"' in field or "'" in field else field.split(".")
    node: Any = values
    for start in range(len(keys)):
        if not isinstance(node, dict):
            break
        for end in range(len(keys), start + 1, -1):
            if (joined := ".".join(keys[start:end])) in node:
                keys[start:end] = [joined]
                break
        node = node.get(keys[start]) if start < len(keys) else None
    return keys


def _quoted_keys(field: str) -> list[str]:
    try:
        node: Any = tomllib.loads(f"{field} = 0")
    except tomllib.TOMLDecodeError as exc:
        raise ConfigError(
            "the field of an override is no TOML key",
            value=field,
            fix="For example trainer.epochs, or tune.space.'model.layers' with both quotes.",
        ) from exc
    keys: list[str] = []
    while isinstance(node, dict):
        key, node = next(iter(node.items()))
        keys.append(key)
    return keys

"""`Config`, the base of every configuration.

Unknown keys are refused, wrong values raise our own `ConfigError` with the dotted path of the
field, and a configuration can be written to TOML and read back unchanged.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Self, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from qstore_ray.config.faults import config_error
from qstore_ray.config.toml import apply_overrides, read_toml
from qstore_ray.config.toml_writer import dump_toml
from qstore_ray.credentials import HIDDEN, is_secret, redact_text
from qstore_ray.errors import ConfigError
from qstore_ray.types import Table

_LONGEST_SHOWN = 160


class Config(BaseModel):
    """Base of every configuration model: keyword-only, frozen, unknown keys refused.

    Raises:
        ConfigError: on construction, naming the dotted field, the value and what to type instead.

    Examples:
        class Folder(Config):
            path: str = "data"
        print(Folder(path="images").to_dict())
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        ser_json_inf_nan="constants",  # in tables of free content, whose reader refuses them
        validate_default=True,
        hide_input_in_errors=True,  # a traceback is no place for a password
    )

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as exc:
            raise config_error(exc, type(self)) from exc

    @model_validator(mode="before")
    @classmethod
    def _has_no_bool_for_a_number(cls, values: Any) -> Any:
        """Refuse true and false as numbers: pydantic takes them for 1 and 0."""
        for name, value in values.items() if isinstance(values, dict) else ():
            info = cls.model_fields.get(name)
            if info is not None and _has_bool(value) and _is_of_numbers(info.annotation):
                raise ConfigError(
                    "a number is needed, not true or false",
                    field=name,
                    value=value,
                    fix="Write a number.",
                )
        return values

    @classmethod
    def from_dict(cls, values: Table) -> Self:
        """The configuration that `values` (as read from TOML or JSON) describes."""
        return cls(**values)

    @classmethod
    def load(cls, path: str | Path, overrides: Sequence[str] = ()) -> Self:
        """Read a TOML file, apply `a.b=c` overrides in order, validate.

        Raises:
            ConfigError: no such file, not TOML, or a wrong value.
        """
        return cls.from_dict(apply_overrides(read_toml(path), overrides))

    @classmethod
    def from_toml(cls, path: str | Path, overrides: Sequence[str] = ()) -> Self:
        """`load` by its earlier name.

        Raises:
            ConfigError: as `load`.
        """
        return cls.load(path, overrides)

    def to_dict(self) -> Table:
        """The configuration as JSON-ready values, unset optional fields left out."""
        return self.model_dump(mode="json", exclude_none=True)

    def to_toml(self) -> str:
        """The configuration as TOML text; `load` reads it back from a file unchanged."""
        return dump_toml(self.to_dict())

    def __repr__(self) -> str:
        """What differs from the defaults, secrets hidden, long values cut."""
        told = []
        for name, info in type(self).model_fields.items():
            if name not in self.__dict__:  # half made, as a debugger may meet it
                continue
            value = self.__dict__[name]
            if info.is_required() or value != info.get_default(call_default_factory=True):
                told.append(f"{name}={_cut(_shown(value, name))}")
        return f"{type(self).__name__}({', '.join(told)})"

    __str__ = __repr__

    def fingerprint(self) -> str:
        """SHA-256 of the canonical JSON form (64 hex digits): equal configurations, equal value."""
        return fingerprint(self.to_dict())


def _has_bool(value: Any) -> bool:
    """Whether a value is true or false, or a list or table with one of them."""
    if isinstance(value, dict | list | tuple):
        return any(map(_has_bool, value.values() if isinstance(value, dict) else value))
    return isinstance(value, bool)


def _is_of_numbers(kind: Any) -> bool:
    """Whether a field is a number, or a list or table of numbers, in each of its types."""
    if kind in (int, float):
        return True
    arguments = get_args(kind)
    if get_origin(kind) is Annotated:
        return _is_of_numbers(arguments[0])
    if get_origin(kind) in (Union, UnionType):
        return all(_is_of_numbers(each) for each in arguments if each is not NoneType)
    if get_origin(kind) is tuple:
        return all(_is_of_numbers(each) for each in arguments if each is not Ellipsis)
    return get_origin(kind) is dict and _is_of_numbers(arguments[1])


def _shown(value: Any, name: str = "") -> str:
    """A value as Python writes it, without what a key or a URL says is secret."""
    if value is not None and is_secret(name):
        return HIDDEN
    if isinstance(value, Mapping):
        inside = (f"{key!r}: {_shown(each, str(key))}" for key, each in value.items())
        return f"{{{', '.join(inside)}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_shown, value))}]"
    return redact_text(repr(value))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"


def fingerprint(values: Any) -> str:
    """SHA-256 of JSON-ready values with sorted keys, as 64 hex digits."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()

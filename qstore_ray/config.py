"""Configuration: frozen pydantic models, TOML files, `a.b=c` overrides, fingerprints.

Each part of the program declares its own model beside the code that reads it (`DatasetConfig` in
`data/`, `TrainerConfig` in `train/`, …); `JobConfig` puts them together. What they share is here:
unknown keys are refused, wrong values raise our own `ConfigError` with the dotted path of the
field, and a configuration can be written to TOML and read back unchanged.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Self, Union, get_args, get_origin

import tomli_w
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from qstore_ray.credentials import HIDDEN, is_secret, redact_text
from qstore_ray.errors import ConfigError, unknown_name_error
from qstore_ray.types import Table

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


_FIXES = {
    "greater_than": "Take a number above {gt}.",
    "greater_than_equal": "Take {ge} or more.",
    "less_than": "Take a number below {lt}.",
    "less_than_equal": "Take {le} or less.",
    "literal_error": "Take {expected}.",
    "int_type": "Write a whole number, without quotes.",
    "int_parsing": "Write a whole number, without quotes.",
    "int_from_float": "Write a whole number.",
    "float_type": "Write a number, without quotes.",
    "float_parsing": "Write a number, without quotes.",
    "finite_number": "Write a finite number.",
    "bool_type": "Write true or false.",
    "bool_parsing": "Write true or false.",
    "string_type": "Write text in quotes.",
    "dict_type": "Write a table: {{ key = value }}.",
    "list_type": "Write a list: [ … ].",
    "tuple_type": "Write a list: [ … ].",
}
"""What to type instead, by the type of pydantic's error."""

_MOST_OTHERS = 3
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
        validate_default=True,
        hide_input_in_errors=True,  # a traceback is no place for a password
    )

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as exc:
            raise _config_error(exc, type(self)) from exc

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
    def from_toml(cls, path: str | Path, overrides: Sequence[str] = ()) -> Self:
        """Read a TOML file, apply `a.b=c` overrides in order, validate.

        Raises:
            ConfigError: no such file, not TOML, or a wrong value.
        """
        return cls.from_dict(apply_overrides(read_toml(path), overrides))

    def to_dict(self) -> Table:
        """The configuration as JSON-ready values, unset optional fields left out."""
        return self.model_dump(mode="json", exclude_none=True)

    def to_toml(self) -> str:
        """The configuration as TOML text; `from_toml` reads it back unchanged."""
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


def read_toml(path: str | Path) -> Table:
    """The TOML file at `path` as nested dictionaries.

    Raises:
        ConfigError: the file is missing, unreadable or not TOML; the message gives the line.
    """
    file = Path(path)
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
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


def dump_toml(values: Table) -> str:
    """Nested dictionaries as TOML text."""
    return tomli_w.dumps(values, multiline_strings=True)


def apply_overrides(values: Table, overrides: Sequence[str]) -> Table:
    """A copy of `values` with each `a.b=c` set; `c` is read as TOML, else taken as text.

    `trainer.epochs=5`, `trainer.optimizer.name=sgd` and `dataset.split.test=0.3` all work; a number
    between dots is an index into a list (`dataset.preprocessing.0.name=minmax`), and a key that has
    dots itself may stand in quotes (`tune.space."model.layers".high=4`), as in TOML.
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
    except tomllib.TOMLDecodeError:
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


def _config_error(exc: ValidationError, model: type[BaseModel]) -> ConfigError:
    """Translate pydantic's report: the first problem as the error, the others named in the fix."""
    faults = [fault for detail in exc.errors() for fault in _faults(detail, model)]
    first = _placed_error(faults[0], faults[0].field)
    if len(faults) > 1:
        others = "; ".join(str(other) for other in faults[1 : 1 + _MOST_OTHERS])
        first.fix = f"{first.fix} Also wrong: {others}".strip()
    first.faults = tuple(faults)
    return first


def _faults(detail: ErrorDetails, model: type[BaseModel]) -> list[ConfigError]:
    """What a line of pydantic's report says; of a configuration inside, all that is wrong in it."""
    location = [str(part) for part in detail["loc"]]
    inner = detail.get("ctx", {}).get("error")
    if not isinstance(inner, ConfigError):
        return [_one_error(detail, model)]
    found = []
    for fault in inner.faults or (inner,):
        own = () if fault.field in location[-1:] else (fault.field,)
        found.append(_placed_error(fault, ".".join(part for part in (*location, *own) if part)))
    return found


def _placed_error(error: ConfigError, field: str) -> ConfigError:
    return type(error)(error.message, field=field, value=error.value, fix=error.fix)


def _one_error(detail: ErrorDetails, model: type[BaseModel]) -> ConfigError:
    location = [str(part) for part in detail["loc"]]
    field = ".".join(location)
    if detail["type"] == "extra_forbidden":
        owner = _model_at(model, location[:-1])
        error = unknown_name_error("key", location[-1], [] if owner is None else owner.model_fields)
        fix = "Leave it out." if owner is None else error.fix
        return ConfigError(error.message, field=field, value=detail["input"], fix=fix)
    if detail["type"] in ("union_tag_invalid", "union_tag_not_found"):
        return _name_error(detail, field)
    if detail["type"] == "missing":
        fix = f"Write {location[-1]} = {_example(model, location)}."
        return ConfigError("this field is required", field=field, fix=fix)
    message = detail["msg"].removeprefix("Value error, ")
    fix = _FIXES.get(detail["type"], "").format(**detail.get("ctx", {}))
    if detail["type"] == "model_type" and (inside := _model_at(model, location)) is not None:
        fix = f"Write a table, with keys of its own: {', '.join(sorted(inside.model_fields))}."
    if detail["type"] == "string_pattern_mismatch":
        fix = f"Write for example {location[-1]} = {_example(model, location)}."
    return ConfigError(
        message[0].lower() + message[1:], field=field, value=detail["input"], fix=fix
    )


def _name_error(detail: ErrorDetails, field: str) -> ConfigError:
    """For a table of one of several kinds, whose name is missing or is none of theirs."""
    context = detail["ctx"]
    key = str(context["discriminator"]).strip("'")
    field = f"{field}.{key}".lstrip(".")
    if detail["type"] == "union_tag_not_found":
        return ConfigError("this field is required", field=field, fix=f'Write {key} = "…".')
    known = [name.strip("'") for name in context["expected_tags"].split(", ")]
    return unknown_name_error(key, context["tag"], known, field=field)


def _example(model: type[BaseModel], path: list[str]) -> str:
    """An example value for the field at `path` as TOML, or … if the field declares no example."""
    owner = _model_at(model, path[:-1])
    info = None if owner is None else owner.model_fields.get(path[-1])
    return json.dumps(info.examples[0]) if info is not None and info.examples else "…"


def _model_at(model: type[BaseModel], path: list[str]) -> type[BaseModel] | None:
    """The model found by walking `path` from `model`, if it is one."""
    for part in path:
        info = model.model_fields.get(part)
        annotation = None if info is None else info.annotation
        candidates = [annotation, *getattr(annotation, "__args__", ())]
        models = [c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)]
        if not models:
            return None
        model = models[0]
    return model

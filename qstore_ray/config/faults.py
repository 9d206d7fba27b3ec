"""What pydantic reports, as our own errors."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pydantic import BaseModel, ValidationError

from qstore_ray.errors import ConfigError, unknown_name_error

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

_NEEDED = {
    "dict_type": "a table is needed",
    "list_type": "a list is needed",
    "tuple_type": "a list is needed",
}
"""What is wrong, if pydantic says it in words of Python's that no configuration file has."""

_MOST_OTHERS = 3


def config_error(exc: ValidationError, model: type[BaseModel]) -> ConfigError:
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
    message = _NEEDED.get(detail["type"], detail["msg"].removeprefix("Value error, "))
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

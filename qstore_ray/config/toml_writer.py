"""Nested dictionaries as TOML text, which the standard library only reads.

A table of scalars and arrays comes first, its tables behind it under headers of their own. Arrays
have a line for each item; texts of several lines are written as such. Many tables in an array, such
as the gates of a device, are data and nobody edits them: they are one line, not thousands.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time

from qstore_ray.types import ReadOnlyTable

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_ESCAPE = re.compile(r"\\.")
_LONGEST_INLINE = 100
_MOST_TABLES = 12
"""Tables of an array that are written one by one."""
_INDENT = "    "


def dump_toml(values: ReadOnlyTable) -> str:
    """Nested dictionaries as TOML text; `tomllib.loads` gives the same values again.

    Raises:
        TypeError: a value that TOML does not have, such as None.
    """
    return "".join(_table(values, ""))


def _table(values: ReadOnlyTable, name: str, header: str = "") -> Iterator[str]:
    """The lines of a table: its header, if it says something, its own values, and its tables."""
    own = {key: value for key, value in values.items() if not _has_header(value)}
    tables = {key: value for key, value in values.items() if key not in own}
    begun = bool(header) and (bool(own) or not tables or header.startswith("[["))
    if begun:
        yield f"{header}\n"
    for key, value in own.items():
        yield f"{_key(key)} = {_value(value)}\n"
    begun = begun or bool(own)
    for key, value in tables.items():
        inner = f"{name}.{_key(key)}".lstrip(".")
        several = isinstance(value, list | tuple)
        for each in value if isinstance(value, list | tuple) else (value,):
            if begun:
                yield "\n"
            begun = True
            yield from _table(each, inner, f"[[{inner}]]" if several else f"[{inner}]")


def _has_header(value: object) -> bool:
    """Whether a value stands under a header: a table, or tables that are too long for a line."""
    if isinstance(value, Mapping):
        return True
    if not isinstance(value, list | tuple) or not value:
        return False
    if not _are_tables(value) or len(value) > _MOST_TABLES:
        return False
    return any(
        len(text) + len(_INDENT) + 1 > _LONGEST_INLINE or "\n" in text
        for text in map(_value, value)
    )


def _are_tables(values: Sequence[object]) -> bool:
    return all(isinstance(each, Mapping) for each in values)


def _key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else _text(key)


def _value(value: object, depth: int = 0) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case str():
            return _lines(value) if "\n" in value else _text(value)
        case datetime() | date() | time():
            return value.isoformat()
        case list() | tuple():
            if len(value) > _MOST_TABLES and _are_tables(value):
                return _line(value)
            indent = _INDENT * (depth + 1)
            items = "".join(f"{indent}{_value(each, depth + 1)},\n" for each in value)
            return f"[\n{items}{_INDENT * depth}]" if items else "[]"
        case Mapping():
            pairs = ", ".join(f"{_key(key)} = {_value(each, depth)}" for key, each in value.items())
            return f"{{ {pairs} }}" if pairs else "{}"
    raise TypeError(f"TOML has no value for {value!r}")


def _line(value: object) -> str:
    """A value without line breaks, whatever is in it."""
    match value:
        case str():
            return _text(value)
        case list() | tuple():
            return f"[{', '.join(map(_line, value))}]"
        case Mapping():
            pairs = ", ".join(f"{_key(key)} = {_line(each)}" for key, each in value.items())
            return f"{{ {pairs} }}" if pairs else "{}"
    return _value(value)


def _text(text: str) -> str:
    """A text in quotes; JSON escapes it as TOML does, but for the delete character."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _lines(text: str) -> str:
    """A text of several lines, between three quotes."""
    inside = _ESCAPE.sub(lambda found: "\n" if found[0] == "\\n" else found[0], _text(text)[1:-1])
    return f'"""\n{inside}"""'

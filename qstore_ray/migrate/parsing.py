"""JSON, YAML and TOML as tables of plain values; nothing that a reader may overlook is dropped.

A key that is there twice is an error: parsers keep the last one and say nothing. `1e-3` is a number
in YAML, too, as YAML 1.2 has it; PyYAML makes a text of it.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import yaml

_MOST_ALIASES: Final = 20
_DEEPEST: Final = 50
_EXPONENT: Final = re.compile(r"^[-+]?[0-9]+[eE][-+]?[0-9]+$")
_NOT_PLAIN: Final = (bytes, set, complex)


def parsed(suffix: str, text: str) -> Any:
    """What a text holds.

    Args:
        suffix: `.json`, `.toml`, or that of YAML.

    Raises:
        ValueError: it is not of this form, has a key twice, or values that no job can have.
    """
    match suffix:
        case ".json":
            found = json.loads(text, object_pairs_hook=_unique)
        case ".toml":
            found = tomllib.loads(text)
        case _:
            found = _yaml(text)
    return _plain(found, 0)


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(n for n in names if names.count(n) > 1)!r} is there twice")
    return found


def _plain(value: Any, depth: int) -> Any:
    """The value with texts as keys; `on: 1` has the key True in YAML."""
    if depth > _DEEPEST:
        raise ValueError(f"it is nested more than {_DEEPEST} levels deep")
    if isinstance(value, dict):
        return {_name(key): _plain(each, depth + 1) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each, depth + 1) for each in value]
    if isinstance(value, _NOT_PLAIN):
        raise _strange_value_error(value)
    return value


def _strange_value_error(value: object) -> ValueError:
    return ValueError(f"it has a value of the type {type(value).__name__}")


def _name(key: Any) -> str:
    return str(key).lower() if isinstance(key, bool) else str(key)


def _yaml(text: str) -> Any:
    import yaml

    try:
        events = list(yaml.parse(text, Loader=yaml.SafeLoader))
        if sum(isinstance(event, yaml.AliasEvent) for event in events) > _MOST_ALIASES:
            raise ValueError(f"it has more than {_MOST_ALIASES} aliases")
        _refuse_twice(yaml.compose(text, Loader=yaml.SafeLoader))
        loader = _loader()(text)
        try:
            return loader.get_single_data()
        finally:
            loader.dispose()
    except yaml.YAMLError as exc:
        raise ValueError(" ".join(str(exc).split())) from exc


def _refuse_twice(root: yaml.Node | None) -> None:
    """`ValueError` if a table has a key of its own twice; `<<` brings defaults, which may repeat.

    It is asked of the tree before aliases are put in: that rewrites tables which are merged.
    """
    import yaml

    waiting, seen = [root], set[int]()
    while waiting:
        node = waiting.pop()
        if id(node) in seen or not isinstance(node, yaml.CollectionNode):
            continue
        seen.add(id(node))
        if not isinstance(node, yaml.MappingNode):
            waiting += node.value
            continue
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if twice := [name for name in names if name != "<<" and names.count(name) > 1]:
            line = node.start_mark.line + 1
            raise ValueError(f"the key {twice[0]!r} is there twice, in the table of line {line}")
        waiting += [value for _, value in node.value]


@cache
def _loader() -> Any:
    """A safe loader that knows the numbers of YAML 1.2."""
    import yaml

    made: Any = type("NumberLoader", (yaml.SafeLoader,), {})
    made.add_implicit_resolver("tag:yaml.org,2002:float", _EXPONENT, list("-+0123456789"))
    return made

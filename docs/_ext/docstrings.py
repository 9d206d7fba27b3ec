"""Our docstrings as Sphinx reads them: they are plain text with `names` in backticks, not RST.

What napoleon does not know of is rewritten before it reads them: code in `Examples:` and indented
blocks of prose become literal blocks, several arguments on a line get lines of their own, and
characters with a meaning in RST only (`|ψ⟩`, `n_iter_`, `*options`) are escaped outside of
backticks.
"""

from __future__ import annotations

import inspect
import re
from typing import Any

_SECTION = re.compile(r"^(Args|Attributes|Examples|Raises|Returns|Yields):$")
_LONGEST = 40
"""Characters of a default that are shown; longer ones are a table of their own."""

_ARGUMENTS = re.compile(r"^(?:Args|Attributes):\n(?:(?: .*)?\n)*", re.MULTILINE)
_NEXT = re.compile(r"[.;]\s+(\w+(?:, \w+)*):\s+(?=\S)")
"""Between two arguments on a line: `theta: (P,). loss: the last one.`"""

_SPECIAL = re.compile(r"(`[^`]*`)|(\|)|(\*)|(\b\w+_\b(?!\w))")


def readable(_app: Any, what: str, _name: str, obj: Any, _options: Any, lines: list[str]) -> None:
    """Rewrite the lines of one docstring in place; a listener of `autodoc-process-docstring`."""
    lines[:] = _rewritten(_apart(lines, _names(obj)))
    if what in ("property", "attribute") and lines:
        # Napoleon takes what is before a colon in line 1 as the type; an escaped space, which is
        # not shown, makes another line the first one.
        lines.insert(0, "\\ ")


def _names(obj: Any) -> set[str]:
    """Names of a function's arguments, or of a class's attributes."""
    try:
        found = set(inspect.signature(obj).parameters)
    except (TypeError, ValueError):  # a property, or a class of another language
        found = set()
    for part in inspect.getmro(obj) if inspect.isclass(obj) else ():
        found.update(vars(part).get("__annotations__", {}))
    return found


def _apart(lines: list[str], names: set[str]) -> list[str]:
    """A line for each argument or attribute."""
    return _ARGUMENTS.sub(
        lambda section: _NEXT.sub(
            lambda m: f".\n    {m[1]}: " if names.issuperset(m[1].split(", ")) else m[0], section[0]
        ),
        "\n".join(lines),
    ).split("\n")


def _rewritten(lines: list[str]) -> list[str]:
    found: list[str] = []
    section, literal = "", False
    for line in lines:
        heading = _SECTION.match(line)
        if heading:
            section, literal = heading[1], False
            found.append(line)
            if section == "Examples":
                found += ["    .. code-block:: python", ""]
            continue
        if line and not line.startswith(" ") and section:
            section = ""
        if section == "Examples":
            found.append("    " + line if line.strip() else line)
            continue
        if not section:
            indented = line.startswith("    ")
            if indented and not literal and (not found or not found[-1].strip()):
                found += ["::", ""]
                literal = True
            elif line.strip() and not indented:
                literal = False
            if literal:
                found.append(line)
                continue
        found.append(_SPECIAL.sub(_escaped, line))
    return found


def _escaped(match: re.Match[str]) -> str:
    code, bar, star, name = match.groups()
    if code:
        return f"`{code}`"
    if name:
        return name[:-1] + r"\_"
    return "\\" + (bar or star)


def fields_only(
    _app: Any, what: str, _name: str, obj: Any, _options: Any, signature: str | None, _returns: Any
) -> tuple[str, None] | None:
    """Of a configuration, its fields with their defaults: pydantic's signature repeats each check.

    Of a dataclass whose default is made by a function, the signature in a form that Sphinx can
    read; otherwise it prints the types as they are marked for it. A listener of
    `autodoc-process-signature`.
    """
    fields = getattr(obj, "model_fields", None)
    if what == "class" and fields is None and signature is not None and "<factory>" in signature:
        return signature.replace("<factory>", "..."), None
    if what != "class" or fields is None or signature is None:
        return None
    named = [
        name if field.is_required() else f"{name}={_short(field)}" for name, field in fields.items()
    ]
    return f"(*, {', '.join(named)})", None


def _short(field: Any) -> str:
    if field.default_factory is not None:
        text = repr(field.get_default(call_default_factory=True))
    else:
        text = repr(field.default)
    return text if len(text) <= _LONGEST else "..."


def foreign(_app: Any, _what: str, name: str, obj: Any, skip: bool, _options: Any) -> bool | None:
    """Leave out what a base class of another package brings along, and fields of named tuples."""
    module = getattr(obj, "__module__", None) or ""
    routed = name.startswith("set_") and name.endswith("_request")  # made by scikit-learn
    if routed or type(obj).__name__ == "_tuplegetter" or name == "model_config":
        return True
    if callable(obj) and module and not module.startswith("qstore_ray"):
        return True
    return skip or None

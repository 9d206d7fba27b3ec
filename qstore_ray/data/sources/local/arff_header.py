"""The header of an ARFF file, and how its names and values are quoted."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qstore_ray.data.sources.local.unpacked import open_unpacked
from qstore_ray.errors import DataError

if TYPE_CHECKING:
    from qstore_ray.data.sources.local.params import LocalParams

_ATTRIBUTE = re.compile(
    r"""@attribute\s+('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[^\s{]+)\s*(.*)""", re.IGNORECASE
)
_NUMBERS = ("numeric", "real", "integer")
_MOST_LINES = 1_000_000
_VALUE = re.compile(r"""\s*('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[^,\t]*?)\s*(?:[,\t]|$)""")


@dataclass(frozen=True)
class Attribute:
    """A column as the header declares it.

    Args:
        name: of the column.
        number: true if its values are numbers.
        values: of a nominal column, the declared ones.
        date: true if its values are dates.
    """

    name: str
    number: bool
    values: tuple[str, ...] = ()
    date: bool = False

    @property
    def zero(self) -> str:
        """What a sparse row does not write."""
        return "0" if self.number or not self.values else self.values[0]


def read_header(path: str, params: LocalParams) -> tuple[tuple[Attribute, ...], int]:
    """The attributes, and how many lines that are neither blank nor comments end with `@data`.

    Raises:
        DataError: no ARFF file.
    """
    attributes: list[Attribute] = []
    skipped = 0
    with open_unpacked(path) as stream:
        for number in range(1, _MOST_LINES):
            raw = stream.readline(params.max_line_bytes)
            if not raw:
                break
            line = raw.decode(params.encoding, errors="replace").lstrip("\ufeff").strip()
            if raw.startswith(b"%") or not raw.strip(b"\r\n"):
                continue
            skipped += 1
            lower = line.lower()
            if lower.startswith("@attribute"):
                attributes.append(_attribute(line, f"{path}, line {number}"))
            elif lower.startswith("@data") and attributes:
                return tuple(attributes), skipped
    raise DataError(
        "no ARFF file: it has no @attribute and @data",
        field="params.path",
        value=path,
        fix="Check params.format.",
    )


def _attribute(line: str, where: str) -> Attribute:
    found = _ATTRIBUTE.fullmatch(line)
    if found is None:
        raise DataError("an attribute without name", field=where, value=line)
    name, kind = unquoted(found[1]), found[2].strip()
    if kind.startswith("{"):
        return Attribute(name, False, tuple(split_values(kind[1:].rpartition("}")[0])))
    if kind.lower().startswith(_NUMBERS):
        return Attribute(name, True)
    if kind.lower().startswith("date"):
        return Attribute(name, False, date=True)
    if kind.lower().startswith("relational"):
        raise DataError("relational attributes are refused", field=where, value=name)
    return Attribute(name, False)


def split_values(text: str) -> list[str]:
    """The values of a line, without quotes; a delimiter within quotes is none."""
    values, at = [], 0
    while True:
        found = _VALUE.match(text, at)
        if found is None:  # text behind a closing quote
            end = text.find(",", at)
            end = len(text) if end < 0 else end
            values.append(text[at:end].strip())
        else:
            end = found.end() - (found[0][-1:] in (",", "\t") and found.end() <= len(text))
            values.append(unquoted(found[1]))
        if end >= len(text) or text[end] not in ",\t":
            return values
        at = end + 1


def unquoted(text: str) -> str:
    """A name or value without the quotes around it."""
    if len(text) > 1 and text[0] in "'\"" and text[-1] == text[0]:
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    return text

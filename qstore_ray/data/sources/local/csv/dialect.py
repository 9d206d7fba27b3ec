"""How a CSV file is written: delimiter, decimal sign, comments; and its records as plain CSV.

The delimiter is the one that is given, or a comma where the first line has one, unless semicolons,
tabs or bars evidently cut the lines: the commas are then in names, or decimal. Otherwise it is the
first of semicolon, tab, bar and blanks that cuts the first lines into equally many values. What
pyarrow does not read (runs of blanks, comment lines) is rewritten before it is parsed.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from qstore_ray.data.sources.local.params import LocalParams
from qstore_ray.data.sources.local.unpacked import unpacked_name
from qstore_ray.data.tables.texts import is_number
from qstore_ray.errors import DataError

BLANKS = " "
_LOOKED_AT = 50
_GUESSES = (";", "\t", "|", BLANKS)
_COMMENTS = re.compile(
    rb"\A(?:[#%][^\r\n]*[\r\n]+|\|[^\r\n]*[\r\n]+(?=[^|\r\n]+[\r\n]))+"  # | as in adult.test
)
_DECIMAL = re.compile(r"\s*[-+]?[0-9]*,[0-9]+\s*")
_QUOTED = re.compile(r'"(?:[^"]|"")*"|[^ \t\r\n]+')
SPOKEN = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar", BLANKS: "blanks"}


@dataclass(frozen=True)
class Dialect:
    """How the values of a record are separated."""

    delimiter: str
    decimal: str = "."
    comment: str = ""
    thousands: str = ""

    @property
    def sign(self) -> bytes:
        """The delimiter as `line_ranges` needs it: what may stand before a value."""
        return b" \t" if self.delimiter == BLANKS else self.delimiter.encode()

    @property
    def comma(self) -> str:
        """The delimiter of what `plain` gives."""
        return "\t" if self.delimiter == BLANKS else self.delimiter

    def plain(self, content: bytes) -> bytes:
        """Records as CSV that a parser of the format reads: no comments, no runs of blanks."""
        if self.comment:
            mark = re.escape(self.comment.encode())
            content = re.sub(
                rb"(?:(?<=[\r\n])|\A)" + mark + rb"[^\r\n]*(?:\r\n|\n|\r|\Z)", b"", content
            )
        if self.delimiter != BLANKS:
            return content
        if b'"' not in content:
            content = re.sub(rb"[ \t]+(?=[\r\n]|\Z)|(?<=[\r\n])[ \t]+|\A[ \t]+", b"", content)
            return re.sub(rb"[ \t]+", b"\t", content)
        lines = content.decode(errors="replace").splitlines()
        return "\n".join("\t".join(_QUOTED.findall(line)) for line in lines).encode()

    def number(self, text: str) -> str:
        """A number without signs between its digits, and with a decimal point; else the text."""
        written = text.strip()
        if self.thousands:
            sign, point = re.escape(self.thousands), re.escape(self.decimal)
            threes = rf"[-+]?[0-9]{{1,3}}(?:{sign}[0-9]{{3}})+(?:{point}[0-9]*)?"
            if re.fullmatch(threes, written):
                written = written.replace(self.thousands, "")
        written = written.replace(self.decimal, ".")
        return written if is_number(written) else text

    def is_number(self, text: str) -> bool:
        """Whether pyarrow reads a value as a number, or we do where it is given texts."""
        return (text.isascii() or bool(self.thousands)) and is_number(self.number(text))

    def records(self, content: bytes, line: int = 1) -> Iterator[tuple[int, list[str]]]:
        """Line numbers and values of the records in `content`, blank lines and comments left out.

        Raises:
            csv.Error: not CSV.
        """
        text = content.decode(errors="replace")
        if self.delimiter == BLANKS:
            for number, row in enumerate(text.splitlines(), start=line):
                if row.strip() and not (self.comment and row.startswith(self.comment)):
                    yield number, [_unquoted(value) for value in _QUOTED.findall(row)]
            return
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=self.delimiter)
        before = 0
        for values in reader:
            if values and not (self.comment and values[0].startswith(self.comment)):
                yield line + before, values
            before = reader.line_num


def _unquoted(value: str) -> str:
    return value[1:-1].replace('""', '"') if value[:1] == '"' and value[-1:] == '"' else value


def dialect_of(path: str, head: bytes, params: LocalParams) -> Dialect:
    """The dialect of a file whose first lines are `head`, as UTF-8 and cut where one ends.

    Raises:
        DataError: not CSV.
    """
    comment = params.comment or ""
    comma = Dialect(",", params.decimal, comment, params.thousands or "")
    if params.delimiter is not None:
        return replace(comma, delimiter=params.delimiter)
    if unpacked_name(path).lower().endswith(".tsv"):
        return replace(comma, delimiter="\t")
    head = _COMMENTS.sub(b"", head)  # they say nothing about the rows
    for delimiter in _GUESSES if params.decimal == "," else (",", *_GUESSES):
        found = replace(comma, delimiter=delimiter)
        rows = _first(found, head, path)
        if _fits(rows, strict=delimiter != ","):
            other = _instead(rows, head, path) if delimiter == "," else ""
            return replace(comma, delimiter=other) if other else found
    return comma


def _instead(rows: Sequence[Sequence[str]], head: bytes, path: str) -> str:
    """The sign that cuts the lines where commas, which cut them into `rows`, do not; else ""."""
    for sign in _GUESSES[:3]:
        if not all(any(sign in value for value in row) for row in rows):
            continue
        others = _first(Dialect(sign), head, path)
        if not _fits(others, strict=True):
            continue
        decimal = all(_DECIMAL.fullmatch(v) for row in others[1:] for v in row if "," in v)
        if decimal or not _fits(rows, strict=True):
            return sign
    return ""


def _first(dialect: Dialect, head: bytes, path: str) -> list[list[str]]:
    rows = []
    try:
        for _, values in dialect.records(head):
            rows.append(values)
            if len(rows) == _LOOKED_AT:
                break
    except csv.Error as exc:
        raise DataError(
            f"the first lines are not CSV: {exc}", field=path, fix="Check params.format."
        ) from exc
    return rows


def _fits(rows: Sequence[Sequence[str]], *, strict: bool) -> bool:
    """Whether the lines are cut into several values, and where it is `strict` into equally many."""
    if not rows or len(rows[0]) < 2:
        return False
    return not strict or all(abs(len(row) - len(rows[0])) <= 1 for row in rows)

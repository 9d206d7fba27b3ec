"""QS120: six or more lines under review that stand elsewhere in the project, too.

Lines are compared without indentation, comments and blank lines. Imports, docstrings, arguments
that have a line of their own (`wires=wires,`) and rows of numbers do not count: two calls of one
function look alike, and so do two matrices. A piece has at least `_LEAST` characters.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from qstore_ray.review.changes import ReviewScope
from qstore_ray.review.flaw import Flaw
from qstore_ray.review.levels import is_test
from qstore_ray.review.source import physical_lines

SHORTEST: Final = 6
"""Lines of the shortest duplicate."""

_LEAST: Final = 120
_MOST_PLACES: Final = 50
"""Of one piece that are compared: a table of ten thousand equal lines has them all over."""

_COMMENT: Final = re.compile(r"(^|\s+)#\s.*$")
_QUOTES: Final = re.compile(r'^[rbuRBU]{0,2}("""|\'\'\')')
_IMPORT: Final = re.compile(r"^(from\s+\S+\s+)?import\s")

_ARGUMENT: Final = re.compile(r"^\*{0,2}\w+(\s*:[^=()]+)?(\s*=\s*[-\w.\"']+)?,$")
_NUMBERS: Final = re.compile(r"^[][(){},\s\d.+*/jeE-]*$")


class CodeLines(NamedTuple):
    """The lines of a file that are compared: their numbers (K,), and their texts (K,)."""

    path: str
    numbers: Sequence[int]
    texts: Sequence[str]


class _Copy(NamedTuple):
    path: str
    start: int
    length: int


def find_duplicates(scope: ReviewScope, files: Mapping[str, str]) -> list[Flaw]:
    """The longest pieces under review that another place repeats, each of them once.

    Args:
        scope: what is under review. files: the texts of all files of the project by path.
    """
    compared = {path: code_lines(path, text) for path, text in sorted(files.items())}
    places: dict[int, list[tuple[str, int]]] = defaultdict(list)
    for path, lines in compared.items():
        for start in range(len(lines.texts) - SHORTEST + 1):
            alike = places[hash(tuple(lines.texts[start : start + SHORTEST]))]
            if len(alike) < _MOST_PLACES:
                alike.append((path, start))
    found: list[Flaw] = []
    for path in sorted(set(scope.lines) & set(compared)):
        found += _in_file(scope, compared, places, compared[path])
    return found


def code_lines(path: str, text: str) -> CodeLines:
    """The lines of a file that are compared."""
    numbers, texts = [], []
    closing = ""  # what ends the docstring or the import that is open
    for number, line in enumerate(physical_lines(text), start=1):
        code = line.strip()
        if closing:
            closing = "" if closing in code else closing
            continue
        if quotes := _QUOTES.match(code):
            rest = code[quotes.end() :]
            closing = "" if quotes[1] in rest else quotes[1]
            continue
        if _IMPORT.match(code):
            closing = ")" if "(" in code and ")" not in code else ""
            continue
        code = _COMMENT.sub("", code)
        if not _NUMBERS.match(code) and not _ARGUMENT.match(code):
            numbers.append(number)
            texts.append(code)
    return CodeLines(path, numbers, texts)


def _in_file(
    scope: ReviewScope,
    compared: Mapping[str, CodeLines],
    places: Mapping[int, list[tuple[str, int]]],
    lines: CodeLines,
) -> Iterator[Flaw]:
    start = 0
    while start <= len(lines.texts) - SHORTEST:
        window = hash(tuple(lines.texts[start : start + SHORTEST]))
        copies = [
            _Copy(path, at, _length(lines, start, compared[path], at))
            for path, at in places[window]
            if _is_first(scope, lines.path, start, compared[path], at)
        ]
        best = max(copies, key=lambda each: each.length, default=None)
        if best is None or best.length < SHORTEST:
            start += 1
            continue
        numbers = lines.numbers[start : start + best.length]
        characters = sum(map(len, lines.texts[start : start + best.length]))
        if characters >= _LEAST and scope.has(lines.path, numbers):
            yield _flaw(lines.path, numbers, best, compared[best.path])
        start += best.length


def _is_first(scope: ReviewScope, path: str, start: int, other: CodeLines, at: int) -> bool:
    """Whether the other place counts as the first of the two: the second one is reported.

    Of two places under review, that is the one that comes first by path and line.
    """
    if (other.path, at) < (path, start):
        return True
    new = other.path != path and scope.has(other.path, other.numbers[at : at + SHORTEST])
    return other.path != path and not new


def _length(one: CodeLines, start: int, other: CodeLines, at: int) -> int:
    """How many lines from here on are the same."""
    most = min(len(one.texts) - start, len(other.texts) - at)
    if one.path == other.path:
        most = min(most, start - at)  # a piece is no copy of itself
    length = 0
    while length < most and one.texts[start + length] == other.texts[at + length]:
        length += 1
    return length


def _flaw(path: str, numbers: Sequence[int], copy: _Copy, other: CodeLines) -> Flaw:
    first = other.numbers[copy.start]
    last = other.numbers[copy.start + copy.length - 1]
    where = "lines" if copy.path == path else f"{copy.path}, lines"
    return Flaw(
        rule="QS120",
        level="note" if is_test(path) else "warning",
        path=path,
        line=numbers[0],
        end_line=numbers[-1],
        message=f"{copy.length} lines are the same as {where} {first} to {last}",
        rewrite="Make them one function, and call it from both places.",
    )

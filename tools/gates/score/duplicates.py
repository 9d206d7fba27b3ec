"""Lines that stand in the package twice: runs of at least `WINDOW` equal lines of code.

Blank lines, comments, imports and lines of brackets do not count, nor does the indentation. Names
are not replaced: what differs in a name is often a table, which is no duplicate.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Final

from tools.gates.source import Module

WINDOW: Final = 8
_NO_CODE = ("#", "import ", "from ", '"""')


def duplicated_lines(modules: Iterable[Module]) -> dict[str, int]:
    """Path → lines of code that also stand elsewhere, in the same file or in another."""
    seen: dict[int, list[tuple[str, int]]] = defaultdict(list)
    for module in modules:
        lines = list(_code(module.text))
        for start in range(len(lines) - WINDOW + 1):
            window = hash(tuple(lines[start : start + WINDOW]))
            seen[window].append((module.path, start))
    twice: dict[str, set[int]] = defaultdict(set)
    for places in seen.values():
        if len(places) > 1:
            for path, start in places:
                twice[path].update(range(start, start + WINDOW))
    return {path: len(lines) for path, lines in sorted(twice.items())}


def code_lines(modules: Iterable[Module]) -> int:
    """Lines that count here, in all."""
    return sum(1 for module in modules for _ in _code(module.text))


def _code(text: str) -> Iterator[str]:
    for line in text.splitlines():
        stripped = line.strip()
        if len(stripped) > 3 and not stripped.startswith(_NO_CODE):
            yield stripped

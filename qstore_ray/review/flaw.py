"""What a review finds: a place in a file, what is wrong there, and what to write instead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

Level: TypeAlias = Literal["error", "warning", "note"]

LEVELS: Final[tuple[Level, ...]] = ("error", "warning", "note")
"""Worst first. An error makes `qstore review` end with exit code 1."""


@dataclass(frozen=True, kw_only=True)
class Flaw:
    """One finding of a review.

    Args:
        rule: id of the rule, such as QR101; it never changes its meaning.
        level: how bad it is.
        path: of the file, relative to the project, with `/`.
        line: first line, from 1. end_line: last line.
        message: what is wrong, as one sentence.
        rewrite: what to write instead.
        also: other lines of the same file that make it a flaw, such as the split after a fit.
    """

    rule: str
    level: Level
    path: str
    line: int
    end_line: int
    message: str
    rewrite: str
    also: tuple[int, ...] = ()

    @property
    def lines(self) -> set[int]:
        """Every line that the flaw depends on: a change of one of them may have caused it."""
        return {*range(self.line, self.end_line + 1), *self.also}

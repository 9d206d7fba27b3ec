"""What a rule on code is, and what it reports."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from qstore_ray.review.rules.surroundings import Surroundings


class Match(NamedTuple):
    """A place that breaks a rule: its first and last line, and what is wrong there."""

    line: int
    last: int
    message: str


Check: TypeAlias = Callable[[ast.AST, Surroundings], Iterator[Match]]
"""Looks at one node of the kinds that its rule names."""


@dataclass(frozen=True)
class CodeRule:
    """One rule: a stable id, why it exists, and a function on syntax nodes.

    Args:
        id: such as `QS103`; never given to another rule.
        title: what is wrong, as a few words.
        reason: why that matters, as one paragraph.
        suggestion: what to write instead.
        nodes: kinds of syntax nodes that `check` is called with; empty if another part finds them.
        words: a file without a match is not parsed for this rule.
        check: reports the places.
    """

    id: str
    title: str
    reason: str
    suggestion: str
    nodes: tuple[type[ast.AST], ...] = ()
    words: re.Pattern[str] | None = None
    check: Check | None = None


@dataclass(frozen=True, order=True)
class Violation:
    """A rule that a line breaks; sorted by file and line.

    Args:
        path: of the file, as it was given.
        line: from 1.
        rule: id of the rule.
        message: what is wrong.
        suggestion: what to write instead.
    """

    path: str
    line: int
    rule: str
    message: str
    suggestion: str = ""

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.rule} {self.message} {self.suggestion}".rstrip()


def match_of(node: ast.expr | ast.stmt | ast.excepthandler, message: str) -> Match:
    """The lines of a node, with a message."""
    return Match(node.lineno, node.end_lineno or node.lineno, message)

"""What a rule is: an id that stays, a level, two examples, and a function that finds places."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from qstore_ray.review.flaw import Level
from qstore_ray.review.source import SourceFile


class Spot(NamedTuple):
    """A place where a rule is broken.

    Args:
        node: the place. message: what is wrong. rewrite: what to write instead.
        also: other places of the same file that make it wrong.
        level: if it is not the rule's.
    """

    node: ast.expr | ast.stmt | ast.excepthandler | ast.arg
    message: str
    rewrite: str
    also: tuple[ast.AST, ...] = ()
    level: Level | None = None


@dataclass(frozen=True, kw_only=True)
class TrainingRule:
    """A rule over one file.

    Args:
        id: two letters and three digits; an id is never used for another rule.
        title: in words, with `-`.
        level: of what it finds, unless a place says otherwise.
        reason: what goes wrong if it is broken, as one sentence.
        bad: source that breaks the rule. good: source that does the same and keeps it.
        same_as: codes of other linters; their `# noqa` comments silence this rule, too.
        check: the places in a file that break it.
    """

    id: str
    title: str
    level: Level
    reason: str
    bad: str
    good: str
    check: Callable[[SourceFile], Iterable[Spot]]
    same_as: frozenset[str] = frozenset()

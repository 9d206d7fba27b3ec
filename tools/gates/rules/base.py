"""A rule of this repository: what it is called, and a function on all its files."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias

from qstore_ray.review.rules.base import CodeRule, Match
from tools.gates.source import Repository

Found: TypeAlias = tuple[str, Match]
"""Path of a file, and where it breaks the rule."""


class RepositoryRule(NamedTuple):
    """`rule` has the words, `find` the places."""

    rule: CodeRule
    find: Callable[[Repository], Iterator[Found]]


def head_of(node: ast.stmt, message: str) -> Match:
    """The first line of a definition: a comment there is about the whole of it."""
    return Match(node.lineno, node.lineno, message)

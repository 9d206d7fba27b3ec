"""QS206: the time of day, asked for where a duration may be meant."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import TypeGuard

from qstore_ray.review.rules.base import CodeRule, match_of
from qstore_ray.review.rules.surroundings import NAMING, Surroundings
from tools.gates.rules.base import Found, RepositoryRule
from tools.gates.source import Repository

_CLOCKS = {"time.time", "datetime.datetime.now", "datetime.datetime.utcnow"}
_WORDS = re.compile(r"\btime\b|\bdatetime\b")


def _find(repository: Repository) -> Iterator[Found]:
    for module in repository.package:
        if not _WORDS.search(module.text):
            continue
        names = Surroundings()
        for node in module.nodes:
            if isinstance(node, NAMING):
                names.note(node)
        calls = [node for node in module.nodes if isinstance(node, ast.Call)]
        dates = {id(call.func.value) for call in calls if _writes_date(call.func)}
        for call in calls:
            if id(call) not in dates and names.dotted(call.func) in _CLOCKS:
                yield module.path, match_of(call, f"{ast.unparse(call.func)}() may jump.")


def _writes_date(function: ast.expr) -> TypeGuard[ast.Attribute]:
    """Whether the time is written down right away, as in `datetime.now(UTC).isoformat()`."""
    return isinstance(function, ast.Attribute) and function.attr in {"isoformat", "strftime"}


RULE = RepositoryRule(
    CodeRule(
        id="QS206",
        title="clock on the wall",
        reason="The time of day jumps when it is set right, and a duration measured with it is "
        "then negative or an hour too long. A date that is written down at once is no duration.",
        suggestion="Measure durations with time.monotonic or time.perf_counter.",
    ),
    _find,
)
"""Durations have their own clock."""

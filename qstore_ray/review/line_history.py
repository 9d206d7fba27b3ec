"""QS122: functions under review that were fixed again and again.

git follows the lines of a function through its history (`git log -L`). That takes up to a second a
function, so the whole check has a deadline; functions that it did not come to are counted.
"""

from __future__ import annotations

import ast
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from qstore_ray.errors import DataError, TransientError, UsageError
from qstore_ray.review.changes import ReviewScope
from qstore_ray.review.flaw import Flaw
from qstore_ray.review.git import GitProject
from qstore_ray.review.source import SourceFile

MONTHS: Final = 12
FIXES: Final = 3
"""So many fixes within so many months are reported."""

_FIX = re.compile(
    r"\b(fix(?:e[sd]|ing)?|bug(?:s|fix)?|hotfix|repair\w*|correct\w*|revert\w*|regression|fault\w*"
    r"|broken|crash\w*|wrong|mistake\w*)\b",
    re.IGNORECASE,
)


class PastFixes(NamedTuple):
    """How often a function was changed and fixed, and the subjects of the fixes, newest first."""

    changes: int
    fixes: Sequence[str]


class HistoryReport(NamedTuple):
    """What was found, and how many functions of how many were looked at."""

    flaws: list[Flaw]
    looked_at: int
    functions: int


def find_often_fixed(
    scope: ReviewScope, files: Mapping[str, SourceFile], seconds: float
) -> HistoryReport:
    """The functions under review with at least `FIXES` fixes in the last `MONTHS` months.

    Args:
        scope: what is under review. files: those files by path.
        seconds: for all functions together.
    """
    git = scope.git
    wanted = [
        (path, name, node)
        for path in sorted(set(scope.lines) & set(files))
        for name, node in functions_of(files[path].tree)
        if scope.has(path, range(node.lineno, (node.end_lineno or node.lineno) + 1))
    ]
    if git is None:
        return HistoryReport([], 0, len(wanted))
    ends = time.monotonic() + seconds
    flaws, looked_at = [], 0
    for path, name, node in wanted:
        left = ends - time.monotonic()
        if left <= 0.0:
            break
        try:
            past = past_fixes(git, path, name, left)
        except TransientError:
            break
        looked_at += 1
        if past is not None and len(past.fixes) >= FIXES:
            flaws.append(_flaw(path, name, node, past))
    return HistoryReport(flaws, looked_at, len(wanted))


def past_fixes(git: GitProject, path: str, name: str, seconds: float) -> PastFixes | None:
    """The history of a function as it is in the last commit; None if it is not in there.

    Args:
        name: with the classes around it, `Model.fit`.

    Raises:
        TransientError: git needs longer than `seconds`.
    """
    try:
        before = SourceFile(path, git.ask("show", f"HEAD:{path}", seconds=seconds))
    except (UsageError, DataError):  # not in there, or not Python at that time
        return None
    node = dict(functions_of(before.tree)).get(name)
    if node is None:
        return None
    try:
        log = git.ask(
            "log", "--no-patch", f"--since={MONTHS} months ago", "--format=%s",
            f"-L{node.lineno},{node.end_lineno}:{path}", seconds=seconds,
        )  # fmt: skip
    except UsageError:  # git has fewer lines: Python also ends one at a lone carriage return
        return None
    subjects = [line for line in log.splitlines() if line]
    return PastFixes(len(subjects), [each for each in subjects if _FIX.search(each)])


def functions_of(
    tree: ast.AST, around: str = ""
) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Every function with its name and those of the classes and functions around it."""
    waiting = [(tree, around)]  # no recursion: a chain of `elif` is nested as deep as it is long
    while waiting:
        node, inside = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{inside}{node.name}", node
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            inside = f"{inside}{node.name}."
        waiting += [(child, inside) for child in reversed(list(ast.iter_child_nodes(node)))]


def _flaw(
    path: str, name: str, node: ast.FunctionDef | ast.AsyncFunctionDef, past: PastFixes
) -> Flaw:
    return Flaw(
        rule="QS122",
        level="warning",
        path=path,
        line=node.lineno,
        end_line=node.lineno,
        message=f"{name} was fixed {len(past.fixes)} times in {MONTHS} months "
        f"(of {past.changes} changes), the last time by {past.fixes[0]!r}",
        rewrite="Write a test of the law that these fixes restore, or split the function, before "
        "it is changed again.",
    )

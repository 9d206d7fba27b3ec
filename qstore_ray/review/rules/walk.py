"""One walk through each file for all rules."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from qstore_ray.review.rules.base import CodeRule, Match, Violation
from qstore_ray.review.rules.catalogue import CODE_RULES, UNREADABLE
from qstore_ray.review.rules.suppressions import suppressions_in, without_suppressed
from qstore_ray.review.rules.surroundings import NAMING, Surroundings


def check_files(
    paths: Iterable[Path], rules: Sequence[CodeRule] = CODE_RULES, root: Path = Path()
) -> list[Violation]:
    """What the rules find in these files, and in all `.py` files of these folders, sorted.

    Args:
        paths: files or folders, absolute or below `root`.
        rules: the rules to check.
        root: paths in the violations are relative to it.

    Raises:
        OSError: a file that cannot be read.
        UnicodeDecodeError: one that is not UTF-8.
    """
    found = []
    for path in paths:
        whole = root / path
        for file in sorted(whole.rglob("*.py")) if whole.is_dir() else [whole]:
            name = file.relative_to(root) if file.is_relative_to(root) else file
            found += check_source(name.as_posix(), file.read_text(encoding="utf-8"), rules)
    return sorted(found)


def check_source(
    path: str,
    text: str,
    rules: Sequence[CodeRule] = CODE_RULES,
    found: Iterable[tuple[CodeRule, Match]] = (),
    tree: Callable[[], ast.AST] | None = None,
) -> list[Violation]:
    """What the rules find in the text of one file, less what its comments suppress.

    Args:
        path: of the file, for the violations.
        text: of the file. One that Python does not parse breaks QS100.
        rules: the rules to check.
        found: what rules of another kind found in it, which comments suppress in the same way.
        tree: gives the syntax tree, where the file is parsed already.
    """
    found = list(found)
    asked = [rule for rule in rules if rule.check and (not rule.words or rule.words.search(text))]
    try:
        if asked or UNREADABLE in rules:
            found += _walked(tree() if tree else ast.parse(text, filename=path), asked)
        comments = suppressions_in(text)
    except (SyntaxError, ValueError) as exc:
        line = getattr(exc, "lineno", None) or 1
        message = f"Python does not parse this file: {exc.args[0]}."
        return [Violation(path, line, UNREADABLE.id, message, UNREADABLE.suggestion)]
    ran = {rule.id for rule in rules} | {rule.id for rule, _ in found}
    return sorted(without_suppressed(path, comments, found, ran))


def _walked(tree: ast.AST, rules: Sequence[CodeRule]) -> Iterator[tuple[CodeRule, Match]]:
    """The matches of all rules, in the order of the source."""
    by_kind: dict[type[ast.AST], list[CodeRule]] = {}
    for rule in rules:
        for kind in rule.nodes:
            by_kind.setdefault(kind, []).append(rule)
    around = Surroundings()
    waiting: list[ast.AST | None] = [tree]
    while waiting:
        node = waiting.pop()
        if node is None:  # the end of the innermost node
            around.around.pop()
            continue
        if isinstance(node, NAMING):
            around.note(node)
        for rule in by_kind.get(type(node), ()):
            if rule.check:
                yield from ((rule, match) for match in rule.check(node, around))
        if inner := _inside(node):
            around.around.append(node)
            waiting.append(None)
            waiting += inner


def _inside(node: ast.AST) -> list[ast.AST]:
    """The nodes right below, last first; `ast.iter_child_nodes` takes three times as long."""
    found: list[ast.AST] = []
    for field in node._fields:
        value = getattr(node, field, None)
        if isinstance(value, list):
            found += [each for each in value if isinstance(each, ast.AST)]
        elif isinstance(value, ast.AST) and not isinstance(value, ast.expr_context):
            found.append(value)
    found.reverse()
    return found

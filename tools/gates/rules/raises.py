"""QS202: an error that a public function raises itself and does not name in its docstring."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from qstore_ray.review.rules.base import CodeRule
from tools.gates.rules.base import Found, RepositoryRule, head_of
from tools.gates.source import Function, Repository, decorators, public, statements_of

# Help of the command line is made of its docstrings; its exit codes are in one place.
_RAISE = re.compile(r"\braise\s+\w")
_OTHER_READERS = ("qstore_ray/cli/", "qstore_ray/testing/")


def _find(repository: Repository) -> Iterator[Found]:
    for module in repository.package:
        if module.path.startswith(_OTHER_READERS):
            continue
        lines = [n for n, line in enumerate(module.text.splitlines(), 1) if _RAISE.search(line)]
        for name, node in public(module.tree.body) if lines else ():
            if not any(node.lineno < line <= (node.end_lineno or 0) for line in lines):
                continue
            if isinstance(node, ast.ClassDef) or decorators(node) & {"overload"}:
                continue
            text = ast.get_docstring(node)
            missing = [error for error in _raised(node) if text and error not in text]
            if missing:
                yield module.path, head_of(node, f"{name} raises {', '.join(missing)} unannounced.")


def _raised(node: Function) -> list[str]:
    """Names of the errors that the function makes and raises, not those that it lets pass."""
    inside = [*statements_of(node)]
    translated = {
        id(raised) for block in inside if _translates(block) for raised in ast.walk(block)
    }
    made = {
        target.id: inner.value
        for inner in inside
        if isinstance(inner, ast.Assign)
        for target in inner.targets
        if isinstance(target, ast.Name)
    }
    errors = (
        made.get(inner.exc.id) if isinstance(inner.exc, ast.Name) else inner.exc
        for inner in inside
        if isinstance(inner, ast.Raise) and id(inner) not in translated
    )
    names = {
        ast.unparse(error.func).rpartition(".")[2]
        for error in errors
        if isinstance(error, ast.Call)
    }
    return sorted(name for name in names if name.endswith("Error") and name[:1].isupper())


def _translates(node: ast.AST) -> bool:
    """Whether it is a block `with translated(…)`: another error leaves it than is raised in it."""
    return isinstance(node, ast.With) and any(
        isinstance(item.context_expr, ast.Call)
        and ast.unparse(item.context_expr.func).endswith("translated")
        for item in node.items
    )


RULE = RepositoryRule(
    CodeRule(
        id="QS202",
        title="error that the docstring does not name",
        reason="Who calls a function can only handle the errors that it names.",
        suggestion="Add it to the Raises section, with the condition.",
    ),
    _find,
)
"""Errors are announced."""

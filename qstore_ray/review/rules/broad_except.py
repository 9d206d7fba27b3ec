"""QS104: an `except`, or a `contextlib.suppress`, that catches every error and continues."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence

from qstore_ray.review.rules.base import CodeRule, Match, match_of
from qstore_ray.review.rules.surroundings import Surroundings

_ALL = {"Exception", "BaseException", "builtins.Exception", "builtins.BaseException"}
_ENDS = {"sys.exit", "os._exit", "os.abort"}


def _check(node: ast.AST, around: Surroundings) -> Iterator[Match]:
    if isinstance(node, ast.Call):
        if around.dotted(node.func) == "contextlib.suppress":
            given = _ALL & {around.dotted(each) for each in node.args}
            yield from (match_of(node, f"suppress({name}) catches every error.") for name in given)
        return
    assert isinstance(node, ast.ExceptHandler)
    kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
    caught = [around.dotted(kind) for kind in kinds if kind is not None]
    if (caught and not _ALL & set(caught)) or _always_raises(node.body, around):
        return
    what = f"except {caught[0]}" if len(caught) == 1 else "except" if not caught else "except (…)"
    yield Match(node.lineno, node.body[0].lineno, f"{what} catches every error and continues.")


def _always_raises(body: Sequence[ast.stmt], around: Surroundings) -> bool:
    """Whether no way through these statements reaches the one behind them."""
    if any(isinstance(each, ast.Return | ast.Break | ast.Continue) for each in _inside(body)):
        return False
    last = body[-1] if body else None
    match last:
        case ast.Raise():
            return True
        case ast.If():
            return _always_raises(last.body, around) and _always_raises(last.orelse, around)
        case ast.With():
            return _always_raises(last.body, around)
        case ast.Try():
            return _always_raises(last.finalbody, around) or all(
                _always_raises(part, around)
                for part in (last.body, *(handler.body for handler in last.handlers))
            )
        case ast.Expr(value=ast.Call() as call):
            return around.dotted(call.func) in _ENDS
    return False


def _inside(body: Sequence[ast.stmt]) -> Iterator[ast.AST]:
    """All nodes of the statements but those of functions that are defined there."""
    waiting: list[ast.AST] = list(body)
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            waiting += ast.iter_child_nodes(node)


RULE = CodeRule(
    id="QS104",
    title="broad except that continues",
    reason="It hides a wrong number, a full disk and a typing error alike: the training continues "
    "with a value that nobody computed, and what is recorded is not what happened.",
    suggestion="Name the errors that can be handled here, or end with `raise … from exc`.",
    nodes=(ast.ExceptHandler, ast.Call),
    words=re.compile(r"\bexcept(?:\s*:|[^:]*\b(?:Base)?Exception\b)|\bsuppress\b"),
    check=_check,
)
"""Catching everything and continuing."""

"""QS103: a call that waits forever if the other side has died."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import NamedTuple

from qstore_ray.review.rules.base import CodeRule, Match, match_of
from qstore_ray.review.rules.surroundings import (
    Surroundings,
    has_spread,
    is_false,
    is_none,
    keyword_of,
)


class _Bound(NamedTuple):
    """How a function takes its time limit: by name, or at a position."""

    keyword: str = "timeout"
    position: int | None = None


_VERBS = ("delete", "get", "head", "options", "patch", "post", "put", "request")
_SESSIONS = {"requests.Session", "requests.session"}

_FUNCTIONS = {
    "ray.get": _Bound(),
    "ray.wait": _Bound(),
    "subprocess.run": _Bound(),
    "subprocess.call": _Bound(),
    "subprocess.check_call": _Bound(),
    "subprocess.check_output": _Bound(),
    "urllib.request.urlopen": _Bound(position=2),
    "socket.create_connection": _Bound(position=1),
    "concurrent.futures.wait": _Bound(position=1),
    "concurrent.futures.as_completed": _Bound(position=1),
    **{f"requests.{verb}": _Bound() for verb in _VERBS},
}

# Methods that wait when they are called without any argument. Text has a `join` and a table has a
# `get`, but these always take an argument.
_METHODS = {
    "get": "waits for a queue or a result",
    "join": "waits for a thread or a process",
    "wait": "waits for a process, an event or a barrier",
    "result": "waits in the queue of the device",
    "communicate": "waits for a process",
}
_NO_WAIT = {"contextvars.ContextVar", "typer.get_current_context"}
_OWN = "qstore_ray."
"""What a class of this package waits for is found in its own file."""


def _check(node: ast.AST, around: Surroundings) -> Iterator[Match]:
    assert isinstance(node, ast.Call)
    if has_spread(node) or _is_awaited(around):
        return
    name = around.dotted(node.func)
    if name in _FUNCTIONS and around.is_imported(node.func):
        bound = _FUNCTIONS[name]
        given = keyword_of(node, bound.keyword)
        if given is None and bound.position is not None and len(node.args) > bound.position:
            given = node.args[bound.position]
        if given is None or is_none(given):
            yield match_of(node, f"{name} without {bound.keyword} may wait forever.")
    elif isinstance(node.func, ast.Attribute) and _is_session(node.func, around):
        if is_none(keyword_of(node, "timeout")) or keyword_of(node, "timeout") is None:
            yield match_of(node, f"a session's {node.func.attr} without timeout may wait forever.")
    elif isinstance(node.func, ast.Attribute) and node.func.attr in _METHODS:
        yield from _waiting_method(node, node.func, around)


def _is_session(method: ast.Attribute, around: Surroundings) -> bool:
    """Whether it is a request of a session of `requests`."""
    owner = method.value
    made = around.dotted(owner.func) if isinstance(owner, ast.Call) else around.assigned.get(
        ast.unparse(owner), "")  # fmt: skip
    return method.attr in _VERBS and made in _SESSIONS


def _waiting_method(call: ast.Call, method: ast.Attribute, around: Surroundings) -> Iterator[Match]:
    if is_false(keyword_of(call, "block")):
        return
    limits = [keyword for keyword in call.keywords if keyword.arg == "timeout"]
    others = [keyword for keyword in call.keywords if keyword.arg not in {"timeout", "block"}]
    if call.args or others or any(not is_none(limit.value) for limit in limits):
        return
    if method.attr == "result" and not around.imports("qiskit_ibm_runtime"):
        return  # a future of this process, whose work has a limit of its own
    if around.is_imported(method):  # a function of a module, of which the table above knows
        return
    made = around.assigned.get(ast.unparse(method.value), "")
    if made in _NO_WAIT or made.startswith(_OWN):
        return
    what = _METHODS[method.attr]
    yield match_of(call, f".{method.attr}() {what} without a time limit.")


def _is_awaited(around: Surroundings) -> bool:
    return bool(around.around) and isinstance(around.around[-1], ast.Await)


RULE = CodeRule(
    id="QS103",
    title="unbounded wait",
    reason="Workers are killed, servers stop answering and cables are pulled. A call without a "
    "time limit then blocks the driver silently and forever, while the cluster or the device is "
    "paid for by the minute.",
    suggestion="Pass timeout=… in seconds, and say in the error what did not answer.",
    nodes=(ast.Call,),
    words=re.compile(
        r"\bray\b|subprocess|urlopen|requests|create_connection|futures"
        r"|\.(?:get|join|wait|result|communicate)\((?:\)|timeout=None|block=)"
    ),
    check=_check,
)
"""Waiting without a time limit."""

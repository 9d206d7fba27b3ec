"""No test fails because the machine is slow: none bounds the time that something took.

That something ends is watched by the time limit of each test; that it does not wait for something
else is an order of events. At least so long may be asserted, and CPU time may be bounded.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.architecture.source import ROOT

CLOCKS = {"monotonic", "perf_counter", "time", "default_timer"}
TESTS = sorted((ROOT / "tests").rglob("*.py"))


def _bounded(tree: ast.AST) -> Iterator[int]:
    """Lines where an assertion bounds a measured duration from above, by a number."""
    for scope in ast.walk(tree):
        if not isinstance(scope, ast.FunctionDef):
            continue
        nodes = tuple(ast.walk(scope))
        measured = {
            target.id
            for node in nodes
            if isinstance(node, ast.Assign) and _is_duration(node.value, set())
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for node in nodes:
            if isinstance(node, ast.Assert):
                yield from (found.lineno for found in _bounds(node.test, measured))


def _bounds(test: ast.expr, measured: set[str]) -> Iterator[ast.Compare]:
    for compared in ast.walk(test):
        if not isinstance(compared, ast.Compare):
            continue
        sides = itertools.pairwise([compared.left, *compared.comparators])
        for (left, right), operator in zip(sides, compared.ops, strict=True):
            less, more = (right, left) if isinstance(operator, ast.Gt | ast.GtE) else (left, right)
            orders = isinstance(operator, ast.Gt | ast.GtE | ast.Lt | ast.LtE)
            if orders and _is_duration(less, measured) and _is_number(more):
                yield compared


def _is_duration(value: ast.expr, measured: set[str]) -> bool:
    """Whether a difference with a clock is in it, or a name that holds one."""
    return any(
        (isinstance(node, ast.Name) and node.id in measured)
        or (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub) and _asks_clock(node.left))
        for node in ast.walk(value)
    )


def _asks_clock(value: ast.expr) -> bool:
    return isinstance(value, ast.Call) and ast.unparse(value.func).rpartition(".")[2] in CLOCKS


def _is_number(value: ast.expr) -> bool:
    """A number, or a constant of the file."""
    constant = isinstance(value, ast.Name) and value.id.isupper()
    return constant or (isinstance(value, ast.Constant) and isinstance(value.value, int | float))


def _replaced(tree: ast.AST) -> Iterator[int]:
    """Lines where a function of the module `time` is replaced, for the whole process."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("setattr", "patch")):
            first = node.args[0] if node.args else None
            text = first.value if isinstance(first, ast.Constant) else first and ast.unparse(first)
            if str(text).split(".")[-1] == "time" or str(text).startswith("time."):
                yield node.lineno


@cache
def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("rule", [_bounded, _replaced])
def test_no_test_depends_on_the_speed_of_the_machine(rule) -> None:
    found = [f"{path.relative_to(ROOT)}:{line}" for path in TESTS for line in rule(_parsed(path))]
    assert found == []


@pytest.mark.parametrize(
    ("statement", "caught"),
    [
        ("assert time.monotonic() - began < 5.0", True),
        ("assert 1.0 <= time.monotonic() - began < 5.0", True),
        ("took = perf_counter() - began\n    assert LONGEST > took", True),
        ("longest = max(longest, time.time() - began)\n    assert longest <= 2", True),
        ("assert time.monotonic() - began >= 1.0", False),
        ("assert time.monotonic() < deadline", False),
        ("assert time.process_time() - began < 5.0", False),
        ("assert x - y < 5.0", False),
    ],
)
def test_a_bound_on_a_duration_is_seen(statement: str, caught: bool) -> None:
    assert bool(list(_bounded(ast.parse(f"def test():\n    {statement}")))) == caught


@pytest.mark.parametrize(
    ("statement", "caught"),
    [
        ("monkeypatch.setattr(module.time, 'monotonic', clock)", True),
        ("monkeypatch.setattr(time, 'sleep', nothing)", True),
        ("monkeypatch.setattr('time.sleep', nothing)", True),
        ("monkeypatch.setattr(module, '_SECONDS', 1.0)", False),
    ],
)
def test_a_clock_that_is_replaced_for_the_process_is_seen(statement: str, caught: bool) -> None:
    assert bool(list(_replaced(ast.parse(statement)))) == caught

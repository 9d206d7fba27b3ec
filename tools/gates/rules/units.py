"""QS203: a number with a unit, in a docstring that does not say which."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from qstore_ray.review.rules.base import CodeRule
from tools.gates.rules.base import Found, RepositoryRule, head_of
from tools.gates.source import Definition, Function, Repository, decorators, public


class Quantity(NamedTuple):
    """A kind of number: words of its names, and words that state its unit."""

    names: re.Pattern[str]
    units: re.Pattern[str]


_TIME = r"seconds?|\bms\b|milliseconds?|minutes?|hours?|days?|nanoseconds?|\bns\b|\bs\b|Unix|unix"
QUANTITIES = (
    Quantity(
        re.compile(r"(?:^|_)(?:timeout|interval|delay|deadline|duration|elapsed|latency|age)$"),
        re.compile(rf"{_TIME}|epochs?|steps?|samples?|clock|monotonic"),
    ),
    Quantity(
        re.compile(r"(?:^|_)(?:memory_size|storage_size|file_size|disk)$"),
        re.compile(r"\bbytes?\b|[KMGTkmgt]i?B\b"),
    ),
    Quantity(
        re.compile(r"(?:^|_)(?:angle|phase|theta|phi)$"),
        re.compile(r"radians?|\brad\b|degrees?|turns?|π|\bpi\b"),
    ),
    Quantity(
        re.compile(r"(?:^|_)(?:frequency)$"),
        re.compile(r"[kMG]?Hz|per second"),
    ),
)
_NUMBER = re.compile(r"\b(?:float|int)\b")


def _find(repository: Repository) -> Iterator[Found]:
    for module in repository.package:
        if module.path.startswith("qstore_ray/cli/"):
            continue  # an option has its unit in its own help
        for name, node in public(module.tree.body):
            text = ast.get_docstring(node) or ""
            if decorators(node) & {"overload", "override"} or not text:
                continue
            without = [
                argument
                for argument, annotation in _numbers(node)
                for quantity in QUANTITIES
                if quantity.names.search(argument) and not quantity.units.search(text)
            ]
            if without:
                yield module.path, head_of(node, f"{name}: in which unit is {', '.join(without)}?")


def _numbers(node: Definition) -> Iterator[tuple[str, str]]:
    """Arguments of a function, or fields of a class, that are one number."""
    named = _fields(node.body) if isinstance(node, ast.ClassDef) else _arguments(node)
    for name, annotation in named:
        if _NUMBER.search(annotation) and "[" not in annotation.replace("Annotated[", ""):
            yield name, annotation


def _fields(body: Sequence[ast.stmt]) -> Iterator[tuple[str, str]]:
    for node in body:
        if isinstance(node, ast.AnnAssign):
            name = ast.unparse(node.target)
            if not name.startswith("_"):
                yield name, ast.unparse(node.annotation)


def _arguments(node: Function) -> Iterator[tuple[str, str]]:
    given = node.args
    for argument in (*given.posonlyargs, *given.args, *given.kwonlyargs):
        if argument.annotation is not None:
            yield argument.arg, ast.unparse(argument.annotation)


RULE = RepositoryRule(
    CodeRule(
        id="QS203",
        title="number without a unit",
        reason="A time limit of 5 is five seconds to one reader and five milliseconds to another, "
        "and both programs run.",
        suggestion="State the unit in the docstring: seconds, bytes, radians.",
    ),
    _find,
)
"""Units are stated."""

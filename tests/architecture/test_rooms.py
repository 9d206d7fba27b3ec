"""Rooms: small folders, files of one thought, and no circle of imports between files.

import-linter holds the order of the rooms (pyproject.toml); it sees packages. Here are the files.
"""

from __future__ import annotations

import ast
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping

from tests.architecture.source import MODULES, ROOT, Module

MOST_FILES = 15  # beside __init__.py
LONGEST_FILE = 400
MEDIAN, NINE_IN_TEN = 150, 250

NAMES = {module.name for module in MODULES}


def test_a_room_is_small_enough_to_be_looked_over():
    rooms = Counter(m.path.rpartition("/")[0] for m in MODULES if not m.is_package)
    rooms.update(str(path.parent) for path in (ROOT / "qstore_ray").rglob("*.[ch]"))
    assert {room: count for room, count in rooms.items() if count > MOST_FILES} == {}


def test_files_hold_one_thought():
    lines = {module.path: len(module.text.splitlines()) for module in MODULES if module.text}
    assert {path: count for path, count in lines.items() if count > LONGEST_FILE} == {}
    assert statistics.median(lines.values()) <= MEDIAN
    assert sorted(lines.values())[int(0.9 * len(lines))] <= NINE_IN_TEN


def test_every_file_lies_in_a_package():
    packages = {module.path.rpartition("/")[0] for module in MODULES if module.is_package}
    assert {module.path.rpartition("/")[0] for module in MODULES} <= packages


def test_no_files_import_each_other_in_a_circle():
    """At run time: also from within functions, but not for the type checker alone."""
    graph = {
        module.name: set(_imports(module)) - {module.name, "qstore_ray"}
        for module in MODULES
        if module.name != "qstore_ray"
    }
    assert list(_circles(graph)) == []


def test_a_circle_is_found():
    assert list(_circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}})) == [["b", "c"]]


def _imports(module: Module) -> Iterator[str]:
    """Our own modules that `module` imports at run time, wherever in it."""
    waiting: list[ast.AST] = [module.tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            waiting += node.orelse
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                member = f"{node.module}.{alias.name}"
                yield from {member if member in NAMES else node.module} & NAMES
        elif isinstance(node, ast.Import):
            yield from {alias.name for alias in node.names} & NAMES
        else:
            waiting += ast.iter_child_nodes(node)


def _circles(graph: Mapping[str, set[str]]) -> Iterator[list[str]]:
    """The sets of more than one node that reach each other."""
    reach = {start: _reached(graph, start) for start in graph}
    seen: set[str] = set()
    for start in sorted(graph):
        circle = sorted(node for node in reach[start] if start in reach.get(node, ()))
        if circle and start not in seen:
            seen.update(circle)
            yield circle


def _reached(graph: Mapping[str, set[str]], start: str) -> set[str]:
    found: set[str] = set()
    waiting = list(graph[start])
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting += graph.get(node, ())
    return found

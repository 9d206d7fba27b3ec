"""The package's files, read and parsed once, for the tests about the code itself."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "qstore_ray"

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
Definition: TypeAlias = Function | ast.ClassDef
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


@dataclass(frozen=True)
class Module:
    """One file of the package: dotted name, path below the root, text, syntax tree."""

    name: str
    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        """Parsed when a test asks for it: every process of tests imports this file."""
        return ast.parse(self.text, filename=self.path)

    @cached_property
    def nodes(self) -> tuple[ast.AST, ...]:
        """All nodes of the tree; a walk takes as long as a hundred looks at them."""
        return tuple(ast.walk(self.tree))

    @property
    def is_package(self) -> bool:
        return self.path.endswith("__init__.py")


def _read(file: Path) -> Module:
    path = file.relative_to(ROOT).as_posix()
    name = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    text = file.read_text(encoding="utf-8")
    return Module(name, path, text)


MODULES = tuple(_read(file) for file in sorted(PACKAGE.rglob("*.py")))
BY_PATH = {module.path: module for module in MODULES}


def imported(nodes: Iterable[ast.AST]) -> Iterator[tuple[str, int]]:
    """Dotted names that the nodes of a tree import, also in functions, with their lines."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module, node.lineno
        elif isinstance(node, ast.Call) and _called(node) in {"import_module", "__import__"}:
            first = node.args[0] if node.args else None
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield first.value, node.lineno


def _called(call: ast.Call) -> str:
    function = call.func
    return getattr(function, "attr", getattr(function, "id", ""))


def public(body: list[ast.stmt], prefix: str = "") -> Iterator[tuple[str, Definition]]:
    """Public functions, classes and their public methods, with dotted names."""
    for node in body:
        if not isinstance(node, DEFINITIONS) or node.name.startswith("_"):
            continue
        yield f"{prefix}{node.name}", node
        if isinstance(node, ast.ClassDef):
            yield from public(node.body, f"{prefix}{node.name}.")


def decorators(node: Definition) -> set[str]:
    """The last parts of the names of the decorators of a definition."""
    found = set()
    for decorator in node.decorator_list:
        function = decorator.func if isinstance(decorator, ast.Call) else decorator
        found.add(getattr(function, "attr", getattr(function, "id", "")))
    return found

"""The package's files, read and parsed once, for the tests about the code itself."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from tools.gates.source import ROOT, Function, Module, read_modules

__all__ = ["BY_PATH", "MODULES", "PACKAGE", "ROOT", "Function", "Module", "imported"]

PACKAGE = ROOT / "qstore_ray"
MODULES = read_modules(PACKAGE, ROOT)
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

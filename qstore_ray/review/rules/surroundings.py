"""Where a node stands: what its names were imported as, and which nodes are around it."""

from __future__ import annotations

import ast

NAMING = (ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign, ast.NamedExpr, ast.withitem)
"""The kinds of nodes that `Surroundings.note` learns from."""


class Surroundings:
    """State of one walk through a file; a rule reads it and changes nothing.

    Attributes:
        around: the nodes that the present one lies in, outermost first.
        assigned: dotted target → dotted name of the function whose result it was assigned last.
        values: dotted target → the expression that it was assigned last.
    """

    def __init__(self) -> None:
        self.around: list[ast.AST] = []
        self.assigned: dict[str, str] = {}
        self.values: dict[str, ast.expr] = {}
        self._imported: dict[str, str] = {}

    def note(self, node: ast.AST) -> None:
        """Remember what an import or an assignment gives a name to."""
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.asname:
                    self._imported[alias.asname] = alias.name
                else:
                    top = alias.name.partition(".")[0]
                    self._imported[top] = top
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                self._imported[alias.asname or alias.name] = f"{node.module}.{alias.name}"
        else:
            targets, value = _assignment(node)
            for target in targets:
                if value is not None and (name := plain(target)):
                    self._note_value(name, value)

    def _note_value(self, name: str, value: ast.expr) -> None:
        self.values[name] = value
        if isinstance(value, ast.Call):
            self.assigned[name] = self.dotted(value.func)
        last = plain(value).rpartition(".")[2]
        if self.is_imported(value) and last != last.upper() and "." not in name:
            self._imported[name] = self.dotted(value)  # rng = np.random
        elif name in self._imported and not isinstance(value, ast.Call):
            del self._imported[name]

    def dotted(self, node: ast.AST) -> str:
        """`np.random.seed` → `numpy.random.seed` by the file's imports; "" for no plain name."""
        name = plain(node)
        first, dot, rest = name.partition(".")
        return f"{self._imported[first]}{dot}{rest}" if first in self._imported else name

    def is_imported(self, node: ast.AST) -> bool:
        """Whether the first part of a dotted name came by an import."""
        return plain(node).partition(".")[0] in self._imported

    def imports(self, package: str) -> bool:
        """Whether the file has imported anything of a package so far."""
        return any(name.partition(".")[0] == package for name in self._imported.values())


def _assignment(node: ast.AST) -> tuple[list[ast.expr], ast.expr | None]:
    """What a node gives names to, and the value that it gives them."""
    match node:
        case ast.Assign(targets=targets, value=value):
            return targets, value
        case ast.AnnAssign(target=target, value=value) | ast.NamedExpr(target=target, value=value):
            return [target], value
        case ast.withitem(context_expr=value, optional_vars=ast.expr() as target):
            return [target], value
    return [], None


def plain(node: ast.AST) -> str:
    """`a.b.c` as text; "" if the node is anything else."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return ""
    return ".".join([node.id, *reversed(parts)])


def keyword_of(call: ast.Call, name: str) -> ast.expr | None:
    """Value of a keyword argument; None if it is not given."""
    return next((each.value for each in call.keywords if each.arg == name), None)


def has_spread(call: ast.Call) -> bool:
    """Whether `*args` or `**options` may bring arguments that cannot be seen."""
    return any(each.arg is None for each in call.keywords) or any(
        isinstance(each, ast.Starred) for each in call.args
    )


def is_none(node: ast.expr | None) -> bool:
    """Whether an argument is the literal `None`."""
    return isinstance(node, ast.Constant) and node.value is None


def is_false(node: ast.expr | None) -> bool:
    """Whether an argument is the literal `False`."""
    return isinstance(node, ast.Constant) and node.value is False


def is_true(node: ast.expr | None) -> bool:
    """Whether an argument is the literal `True`."""
    return isinstance(node, ast.Constant) and node.value is True

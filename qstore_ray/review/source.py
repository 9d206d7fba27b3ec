r"""A Python file as rules see it: its tree, who contains whom, and what each name was imported as.

    source = SourceFile("a.py", "import numpy as np\nnp.random.seed(1)\n")
    call = next(source.calls())
    source.name_of(call.func)        "numpy.random.seed"

Nothing of the file is executed or imported.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
import warnings
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Final, TypeAlias

from qstore_ray.errors import DataError

Scope: TypeAlias = ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda
_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
LOOPS: Final = (
    ast.For, ast.AsyncFor, ast.While, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp
)  # fmt: skip
_ALLOW = re.compile(r"#\s*gate:\s*(QS\d{3}(?:\s*,\s*QS\d{3})*)\s+because\s+\S")
_NOQA = re.compile(r"#\s*noqa:\s*([A-Z]+\d+(?:[\s,]+[A-Z]+\d+)*)")


class SourceFile:
    """One Python file, parsed.

    Args:
        path: as findings name it.
        text: the source.

    Raises:
        DataError: the text is not Python of this interpreter's version; `row` is the line.
    """

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.text = text
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of others' code, such as an invalid escape
                self.tree = ast.parse(text)
        # ValueError: a null byte. The others: more levels than the parser's stack holds.
        except (SyntaxError, ValueError, RecursionError, MemoryError) as exc:
            reason = getattr(exc, "msg", exc)
            if isinstance(exc, RecursionError | MemoryError):
                reason = "it is nested too deeply"
            raise DataError(
                f"this Python cannot read the file: {reason}",
                field=path,
                fix="Fix its syntax, or leave the file out.",
                row=getattr(exc, "lineno", None) or 1,
            ) from exc
        self.lines = physical_lines(text)
        self.nodes = list(ast.walk(self.tree))
        self._parents = {child: node for node in self.nodes for child in ast.iter_child_nodes(node)}

    def calls(self) -> Iterator[ast.Call]:
        """Every call, in no particular order."""
        return (node for node in self.nodes if isinstance(node, ast.Call))

    def scopes(self) -> Iterator[ast.AST]:
        """The module and every function of it."""
        yield self.tree
        yield from (node for node in self.nodes if isinstance(node, _FUNCTIONS[:2]))

    def statements(self, scope: ast.AST) -> list[ast.stmt]:
        """The statements of a scope in the order they are written, without inner functions."""
        found: list[ast.stmt] = []
        waiting: list[ast.AST] = [scope]
        while waiting:
            node = waiting.pop()
            for child in ast.iter_child_nodes(node):
                if isinstance(child, (*_FUNCTIONS, ast.ClassDef)):
                    continue
                if isinstance(child, ast.stmt):
                    found.append(child)
                if isinstance(child, ast.stmt | ast.excepthandler | ast.match_case):
                    waiting.append(child)
        return sorted(found, key=lambda each: (each.lineno, each.col_offset))

    def own_calls(self, statement: ast.stmt) -> Iterator[ast.Call]:
        """The calls of a statement itself, without those of statements inside it."""
        waiting: list[ast.AST] = [statement]
        while waiting:
            node = waiting.pop()
            if isinstance(node, ast.Call):
                yield node
            waiting += (
                child
                for child in ast.iter_child_nodes(node)
                if not isinstance(child, ast.stmt | ast.excepthandler | ast.match_case | ast.Lambda)
            )

    def parent(self, node: ast.AST) -> ast.AST | None:
        """The node that contains this one."""
        return self._parents.get(node)

    def parents(self, node: ast.AST) -> Iterator[ast.AST]:
        """What contains the node, from the inside out."""
        around = self._parents.get(node)
        while around is not None:
            yield around
            around = self._parents.get(around)

    def scope_of(self, node: ast.AST) -> ast.AST:
        """The innermost function around the node, or the module."""
        return next(
            (each for each in self.parents(node) if isinstance(each, _FUNCTIONS)), self.tree
        )

    def loop_around(self, node: ast.AST) -> ast.AST | None:
        """The innermost loop or comprehension that runs the node again, in the same function."""
        inside: ast.AST = node
        for each in self.parents(node):
            if isinstance(each, _FUNCTIONS):
                return None
            if isinstance(each, LOOPS) and not _runs_once(each, inside):
                return each
            inside = each
        return None

    def statement_of(self, node: ast.AST) -> ast.stmt | None:
        """The innermost statement around the node, or the node itself."""
        if isinstance(node, ast.stmt):
            return node
        return next((each for each in self.parents(node) if isinstance(each, ast.stmt)), None)

    @cached_property
    def imported(self) -> dict[str, str]:
        """Each name that an import binds anywhere in the file → what it stands for, dotted."""
        found: dict[str, str] = {}
        for node in self.nodes:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    name = alias.asname or alias.name.partition(".")[0]
                    found[name] = alias.name if alias.asname else name
            elif isinstance(node, ast.ImportFrom):
                start = "." * node.level + (node.module or "")
                for alias in node.names:
                    found[alias.asname or alias.name] = f"{start}.{alias.name}"
        return found

    def imports(self, package: str) -> bool:
        """Whether anything of a top-level package is imported."""
        return any(name.partition(".")[0] == package for name in self.imported.values())

    def name_of(self, node: ast.AST) -> str:
        """The dotted name of what an expression refers to, "" if it does not begin at an import.

        A call of a class is followed: the name of `StandardScaler().fit` is
        `sklearn.preprocessing.StandardScaler.fit`.
        """
        match node:
            case ast.Name(id=name):
                return self.imported.get(name, "")
            case ast.Attribute(value=value, attr=attr):
                start = self.name_of(value)
                return f"{start}.{attr}" if start else ""
            case ast.Call(func=func):
                return self.name_of(func)
        return ""

    def made_by(self, node: ast.AST) -> str:
        """The dotted name of the call whose result a variable holds where `node` reads it.

        Of several assignments in its function, or else in the module, the last one before counts.
        """
        if not isinstance(node, ast.Name):
            return self.name_of(node) if isinstance(node, ast.Call) else ""
        for scope in (self.scope_of(node), self.tree):
            made = [
                (line, value)
                for line, value in self._assigned.get((scope, node.id), ())
                if line <= node.lineno or scope is self.tree
            ]
            if made:
                return self.name_of(max(made, key=lambda each: each[0])[1])
        return ""

    @cached_property
    def _assigned(self) -> dict[tuple[ast.AST, str], list[tuple[int, ast.AST]]]:
        found: dict[tuple[ast.AST, str], list[tuple[int, ast.AST]]] = {}
        for node in self.nodes:
            targets: list[ast.expr] = []
            if isinstance(node, ast.Assign):
                targets = node.targets
            elif isinstance(node, ast.withitem) and node.optional_vars is not None:
                targets = [node.optional_vars]
            for target in targets:
                if isinstance(target, ast.Name):
                    value = node.value if isinstance(node, ast.Assign) else node.context_expr  # type: ignore[attr-defined]
                    if isinstance(value, ast.Call):
                        key = (self.scope_of(node), target.id)
                        found.setdefault(key, []).append((target.lineno, value))
        return found

    @cached_property
    def comments(self) -> dict[int, str]:
        """The comment of each line that has one."""
        tokens = tokenize.generate_tokens(io.StringIO(self.text).readline)
        return {token.start[0]: token.string for token in tokens if token.type == tokenize.COMMENT}

    @cached_property
    def excused(self) -> dict[int, frozenset[str]]:
        """Lines → the ids that `# gate: QS110 because …` on it, or alone on the line above, names.

        Without a reason the comment excuses nothing.
        """
        found: dict[int, frozenset[str]] = {}
        for line, comment in self.comments.items():
            if match := _ALLOW.search(comment):
                alone = self.lines[line - 1].lstrip().startswith("#")
                ids = frozenset(re.split(r"\s*,\s*", match[1]))
                found[line + alone] = found.get(line + alone, frozenset()) | ids
        return found

    def silenced(self, line: int) -> frozenset[str]:
        """The codes of other linters that a `# noqa: …` comment of the line names."""
        match = _NOQA.search(self.comments.get(line, ""))
        return frozenset(re.findall(r"[A-Z]+\d+", match[1])) if match else frozenset()


def read_text(path: Path, name: str) -> str:
    """The text of a Python file in the coding that its first lines name, UTF-8 by default.

    Args:
        name: as errors call the file.

    Raises:
        DataError: it cannot be read.
    """
    try:
        with tokenize.open(path) as file:
            return file.read()
    except (OSError, SyntaxError, UnicodeDecodeError) as exc:
        raise DataError(
            f"the file cannot be read: {type(exc).__name__}",
            field=name,
            fix="Save it as UTF-8, or leave it out.",
        ) from exc


def physical_lines(text: str) -> list[str]:
    """The lines of a file as Python and git count them.

    `str.splitlines` also ends a line at a form feed and at U+2028, which may stand within one.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def keyword(call: ast.Call, *names: str) -> ast.expr | None:
    """The value of the first of these keyword arguments that a call has."""
    return next((each.value for name in names for each in call.keywords if each.arg == name), None)


def has_more_keywords(call: ast.Call) -> bool:
    """Whether a call takes keyword arguments from a table (`**options`), which nobody can see."""
    return any(each.arg is None for each in call.keywords)


def is_none(node: ast.AST | None) -> bool:
    """Whether an expression is None, or absent."""
    return node is None or (isinstance(node, ast.Constant) and node.value is None)


def is_value(node: ast.AST | None, value: object) -> bool:
    """Whether an expression is this constant."""
    return isinstance(node, ast.Constant) and node.value is value


def names_in(node: ast.AST) -> set[str]:
    """The variables that an expression reads."""
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}


def identifiers(node: ast.AST) -> set[str]:
    """The variables and attributes that an expression reads."""
    attributes = {each.attr for each in ast.walk(node) if isinstance(each, ast.Attribute)}
    return names_in(node) | attributes


def targets_of(statement: ast.AST) -> set[str]:
    """The variables that an assignment binds."""
    match statement:
        case ast.Assign(targets=targets):
            found: list[ast.expr] = targets
        case ast.AnnAssign(target=target) | ast.AugAssign(target=target):
            found = [target]
        case _:
            found = []
    return {
        each.id
        for target in found
        for each in ast.walk(target)
        if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)
    }


def _runs_once(loop: ast.AST, inside: ast.AST) -> bool:
    """Whether a part of a loop is evaluated once: what it goes through, and its `else`."""
    match loop:
        case ast.For(iter=first, orelse=after) | ast.AsyncFor(iter=first, orelse=after):
            return inside is first or inside in after
        case ast.While(orelse=after):
            return inside in after
        case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
            return inside is loop.generators[0]
    return False

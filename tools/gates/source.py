"""The files that the gates read, each parsed once."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

ROOT = Path(__file__).resolve().parents[2]

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
Definition: TypeAlias = Function | ast.ClassDef
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


@dataclass(frozen=True)
class Module:
    """One file: dotted name, path below the root, text, syntax tree."""

    name: str
    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        """Parsed at the first use: every process of tests imports this file."""
        return ast.parse(self.text, filename=self.path)

    @cached_property
    def nodes(self) -> tuple[ast.AST, ...]:
        """All nodes of the tree; a walk takes as long as a hundred looks at them."""
        return tuple(ast.walk(self.tree))

    @property
    def is_package(self) -> bool:
        """Whether it is an `__init__.py`."""
        return self.path.endswith("__init__.py")


def read_modules(folder: Path, root: Path) -> tuple[Module, ...]:
    """All Python files of a folder, sorted by path, but those in folders such as `.venv`.

    Raises:
        OSError: a file that cannot be read.
    """
    files = sorted(folder.rglob("*.py"))
    return tuple(_read(file, root) for file in files if not _is_hidden(file, root))


def _is_hidden(file: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(root).parts)


def _read(file: Path, root: Path) -> Module:
    path = file.relative_to(root).as_posix()
    name = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    return Module(name, path, file.read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Repository:
    """What the rules of this repository look at.

    Args:
        root: its folder.
        package: the files of `qstore_ray/`.
        others: Python files of the other folders.
    """

    root: Path
    package: tuple[Module, ...]
    others: tuple[Module, ...]

    @property
    def modules(self) -> tuple[Module, ...]:
        """All files."""
        return self.package + self.others

    @cached_property
    def guides(self) -> dict[str, str]:
        """Path → text of what explains the package: guides, tutorials, README."""
        found = [self.root / "README.md"]
        for pattern in ("*.md", "tutorials/*", "reference/*.md"):
            found += sorted((self.root / "docs").glob(pattern))
        return {
            file.relative_to(self.root).as_posix(): file.read_text(encoding="utf-8")
            for file in found
            if file.suffix in {".md", ".ipynb", ".py"} and file.is_file()
        }


OTHER_FOLDERS = ("benchmarks", "docs", "examples", "findings", "jobs", "security", "tests", "tools")


def read_repository(root: Path = ROOT) -> Repository:
    """The repository in a folder, as it is on the disk.

    Raises:
        OSError: a file that cannot be read.
    """
    others = [
        module
        for folder in OTHER_FOLDERS
        for module in read_modules(root / folder, root)
        if "/_build/" not in module.path
    ]
    return Repository(root, read_modules(root / "qstore_ray", root), tuple(others))


def public(body: list[ast.stmt], prefix: str = "") -> Iterator[tuple[str, Definition]]:
    """Public functions, classes and their public methods, with dotted names."""
    for node in body:
        if isinstance(node, ast.If | ast.Try):  # such as `if sys.platform == "win32":`
            parts = (node.body, node.orelse, *(each.body for each in getattr(node, "handlers", ())))
            for part in parts:
                yield from public(part, prefix)
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


def statements_of(node: Function) -> Iterator[ast.AST]:
    """All nodes of a function's body but those of functions and classes inside it."""
    waiting: list[ast.AST] = list(node.body)
    while waiting:
        inner = waiting.pop()
        yield inner
        if not isinstance(inner, (*DEFINITIONS, ast.Lambda)):
            waiting += ast.iter_child_nodes(inner)

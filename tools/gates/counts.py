"""What the ratchet counts: for each kind, how often it stands where.

violations of each rule, and comments that switch ruff or mypy off, by file
long files and long functions, by file
what pyproject.toml lets pass: ignored imports, rules of ruff, packages without types
packages whose rooms no contract of import-linter puts in an order
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias

from tools.gates import Violation, violations_of
from tools.gates.source import Module, Repository

Counts: TypeAlias = dict[str, dict[str, int]]
"""Kind → name of a place → how often."""

LONGEST_FILE: Final = 265
"""Lines; what is longer is counted."""
LONGEST_FUNCTION: Final = 60
"""Lines of a function: what a screen shows."""

SWITCHED_OFF = re.compile(r"#\s*(?:noqa\b|gate:\s*QS)")
NOQA = re.compile(r"#\s*noqa\b")
TYPE_IGNORE = re.compile(r"#\s*type:\s*ignore\b")


def count_all(repository: Repository) -> tuple[Counts, list[Violation]]:
    """All counts, and the violations that are in them.

    Raises:
        OSError: a file that cannot be read.
    """
    violations = violations_of(repository)
    settings = tomllib.loads((repository.root / "pyproject.toml").read_text(encoding="utf-8"))
    kinds: dict[str, Mapping[str, int]] = {
        "files over 265 lines": long_files(repository.package),
        "functions over 60 lines": long_functions(repository.package),
        "lines with noqa": comments(repository.modules, NOQA),
        "lines with type: ignore": comments(repository.modules, TYPE_IGNORE),
        "ignored imports": ignored_imports(settings),
        "ignored rules of ruff": ignored_rules(settings),
        "packages without types": untyped_packages(settings),
        "rooms without an order": unordered_rooms(repository.package, settings),
    }
    for violation in violations:
        kinds.setdefault(violation.rule, Counter())
    for rule in {violation.rule for violation in violations}:
        kinds[rule] = Counter(v.path for v in violations if v.rule == rule)
    return {kind: dict(sorted(kinds[kind].items())) for kind in sorted(kinds)}, violations


def long_files(modules: Iterable[Module]) -> Mapping[str, int]:
    """Files with more lines than `LONGEST_FILE`."""
    return {m.path: 1 for m in modules if m.text.count("\n") > LONGEST_FILE}


def long_functions(modules: Iterable[Module]) -> Mapping[str, int]:
    """Functions with more lines than `LONGEST_FUNCTION`, by file."""
    return Counter(
        module.path
        for module in modules
        for node in _functions(module.tree.body)
        if (node.end_lineno or 0) - node.lineno >= LONGEST_FUNCTION
    )


def _functions(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node
        elif isinstance(node, ast.ClassDef):
            yield from _functions(node.body)


def comments(modules: Iterable[Module], form: re.Pattern[str]) -> Mapping[str, int]:
    """Lines with a comment of this form, by file."""
    found = {m.path: sum(map(bool, map(form.search, m.text.splitlines()))) for m in modules}
    return {path: number for path, number in found.items() if number}


def ignored_imports(settings: Mapping[str, Any]) -> Mapping[str, int]:
    """Exceptions of the contracts of import-linter."""
    contracts = settings["tool"]["importlinter"]["contracts"]
    return {line: 1 for contract in contracts for line in contract.get("ignore_imports", [])}


def ignored_rules(settings: Mapping[str, Any]) -> Mapping[str, int]:
    """Rules of ruff that are off, everywhere or in a folder."""
    lint = settings["tool"]["ruff"]["lint"]
    folders = {"everywhere": lint["ignore"], **lint["per-file-ignores"]}
    return {f"{rule} in {where}": 1 for where, rules in folders.items() for rule in rules}


def untyped_packages(settings: Mapping[str, Any]) -> Mapping[str, int]:
    """Packages whose missing types mypy accepts."""
    overrides = settings["tool"]["mypy"]["overrides"]
    return {
        name: 1
        for override in overrides
        if override.get("ignore_missing_imports")
        for name in override["module"]
    }


def unordered_rooms(modules: Iterable[Module], settings: Mapping[str, Any]) -> Mapping[str, int]:
    """Packages that have rooms, but no contract that orders them: how many rooms each has."""
    ordered = set()
    for contract in settings["tool"]["importlinter"]["contracts"]:
        ordered |= set(contract.get("containers", []))
        if not contract.get("containers"):  # the layers are named in full
            ordered |= {layer.split()[0].rpartition(".")[0] for layer in contract["layers"]}
    rooms = {m.name for m in modules if m.is_package and m.name.count(".") == 2}
    found = Counter(room.rpartition(".")[0] for room in rooms)
    return {package: number for package, number in found.items() if package not in ordered}

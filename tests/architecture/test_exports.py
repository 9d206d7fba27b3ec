"""The package's table of contents: every name resolves, and type checkers see the same names."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import qstore_ray
from tests.architecture.source import BY_PATH

EXPORTS: dict[str, str] = qstore_ray._EXPORTS
TREE = BY_PATH["qstore_ray/__init__.py"].tree


def _seen_by_type_checkers() -> dict[str, str]:
    """Exported name → module, from `if TYPE_CHECKING: from module import Name as Name`."""
    (branch,) = (
        node
        for node in TREE.body
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
    )
    return {
        alias.asname or "(not re-exported)": str(node.module)
        for node in branch.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def test_type_checkers_see_the_names_that_are_exported():
    assert _seen_by_type_checkers() == EXPORTS


def test_all_and_dir_list_the_exports():
    assert set(EXPORTS) <= set(qstore_ray.__all__)
    assert set(qstore_ray.__all__) <= set(dir(qstore_ray))


@pytest.mark.parametrize("name", qstore_ray.__all__)
def test_an_exported_name_resolves(name: str):
    value = getattr(qstore_ray, name)
    if name in EXPORTS:
        assert value is getattr(importlib.import_module(EXPORTS[name]), name)


@pytest.mark.parametrize("name", sorted(EXPORTS))
def test_an_exported_name_is_documented_where_it_is_defined(name: str):
    value = getattr(qstore_ray, name)
    if inspect.isclass(value) or inspect.isroutine(value):
        assert inspect.getdoc(value)
        assert value.__module__.startswith("qstore_ray.")


def test_a_name_that_is_not_exported_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = qstore_ray.no_such_name


def test_star_import_brings_exactly_the_exports(repository: Path):
    code = "names = {}; exec('from qstore_ray import *', names); print(*sorted(names))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=repository, check=True, capture_output=True, text=True
    )
    assert done.stdout.split() == sorted({*qstore_ray.__all__, "__builtins__"})

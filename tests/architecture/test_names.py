"""Names: one class a name, and a function that returns an error says so."""

from __future__ import annotations

import ast
from collections import defaultdict

from tests.architecture.source import MODULES

SAME_NAME: dict[str, str] = {}
"""Classes of which the package has several, each with the reason."""

NOT_RAISED_BY_NAME = {"_rebuild": "unpickles an error"}
"""Functions that return an error and are never written after `raise`."""


def test_no_two_classes_have_the_same_name():
    found = defaultdict(list)
    for module in MODULES:
        for node in module.nodes:
            if isinstance(node, ast.ClassDef):
                found[node.name].append(f"{module.path}:{node.lineno}")
    assert {name: at for name, at in found.items() if len(at) > 1 and name not in SAME_NAME} == {}
    assert {name for name in SAME_NAME if len(found[name]) < 2} == set(), "take it off the list"


def test_a_function_that_returns_an_error_has_a_name_that_ends_in_error():
    found = {
        f"{module.path}:{node.lineno} {node.name}"
        for module in MODULES
        for node in module.nodes
        if isinstance(node, ast.FunctionDef)
        and node.returns is not None
        and all(kind.endswith("Error") for kind in ast.unparse(node.returns).split(" | "))
        and not node.name.endswith("error")
        and node.name not in NOT_RAISED_BY_NAME
    }
    assert found == set()

"""QS201: a module, or something public in it, that says nothing about itself."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence

from qstore_ray.review.rules.base import CodeRule, Match
from tools.gates.rules.base import Found, RepositoryRule, head_of
from tools.gates.source import Module, Repository, decorators, public

_ABSTRACT = {"Protocol", "ABC", "ABCMeta", "Backend"}
_WORDS = re.compile(rf"\b(?:{'|'.join(sorted(_ABSTRACT))})\b")


def _find(repository: Repository) -> Iterator[Found]:
    contracts = documented_contracts(repository.package)
    for module in repository.package:
        if not ast.get_docstring(module.tree):
            yield module.path, Match(1, 1, "The module has no docstring.")
        for name, node in public(module.tree.body):
            if (
                not ast.get_docstring(node)
                and not ("." in name and node.name in contracts)
                and not decorators(node) & {"overload", "setter"}
                and not node.name.startswith("test_")  # the name of a law is its sentence
            ):
                yield module.path, head_of(node, f"{name} has no docstring.")


def documented_contracts(modules: Sequence[Module]) -> set[str]:
    """Methods that a protocol or an abstract class documents for all who implement it."""
    return {
        method.name
        for module in modules
        if _WORDS.search(module.text)
        for node in module.tree.body
        if isinstance(node, ast.ClassDef) and {ast.unparse(b) for b in node.bases} & _ABSTRACT
        for method in node.body
        if isinstance(method, ast.FunctionDef) and ast.get_docstring(method)
    }


RULE = RepositoryRule(
    CodeRule(
        id="QS201",
        title="public and undocumented",
        reason="The documentation site is made of these docstrings, and the docstring of its "
        "`__init__` is where a reader enters a room. What a protocol documents needs no more.",
        suggestion="Say what it computes or does first, then shapes, units and errors.",
    ),
    _find,
)
"""Nothing public without a docstring."""

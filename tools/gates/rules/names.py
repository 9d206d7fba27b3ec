"""QS205: a name that says nothing, or a version in a name."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from qstore_ray.review.rules.base import CodeRule, Match
from tools.gates.rules.base import Found, RepositoryRule, head_of
from tools.gates.source import DEFINITIONS, Repository

_WORDS = {"manager", "managers", "helper", "helpers", "util", "utils", "utility", "utilities",
          "enhanced", "smart"}  # fmt: skip
_DEFINED = re.compile(r"\b(?:class|def)\s+(\w+)")
_VERSION = re.compile(r"^v\d+$")


def _find(repository: Repository) -> Iterator[Found]:
    for module in repository.package:
        name = module.name.rpartition(".")[2]
        if says_nothing(name):
            yield module.path, Match(1, 1, f"{name} says nothing about what is in it.")
        if not any(map(says_nothing, _DEFINED.findall(module.text))):
            continue  # no need to look at the tree
        for node in ast.walk(module.tree):
            if isinstance(node, DEFINITIONS) and says_nothing(node.name):
                yield module.path, head_of(node, f"{node.name} says nothing about what it is.")


def says_nothing(name: str) -> bool:
    """Whether a name holds a word that fits everything, or a number of a version."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    words = set(spaced.lower().split("_"))
    return bool(words & _WORDS) or any(_VERSION.match(word) for word in words)


RULE = RepositoryRule(
    CodeRule(
        id="QS205",
        title="name that says nothing",
        reason="A manager manages anything, so everything ends up in it; and of two versions of "
        "one thing, one is always the wrong one.",
        suggestion="Name what it holds or does; replace the old version.",
    ),
    _find,
)
"""Names say what a thing is."""

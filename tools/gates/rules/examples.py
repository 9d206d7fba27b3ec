"""QS204: a name that users import and that no example shows."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from qstore_ray.review.rules.base import CodeRule
from tools.gates.rules.base import Found, RepositoryRule, head_of
from tools.gates.source import DEFINITIONS, Module, Repository

_FENCE = re.compile(
    r"^(?:```|:::)\{?(?:python|code-cell)[^\n]*\n(.*?)^(?:```|:::)", re.MULTILINE | re.DOTALL
)


def _find(repository: Repository) -> Iterator[Found]:
    modules = {module.name: module for module in repository.package}
    shown = _shown(repository)
    for name, home in _exports(modules):
        node = _definition(modules.get(home), name)
        if node is None or name in shown or _has_example(node):
            continue
        yield modules[home].path, head_of(node, f"no example shows {name}.")


def _exports(modules: dict[str, Module]) -> Iterator[tuple[str, str]]:
    """Exported name → module, from the table of contents of the package."""
    top = modules.get("qstore_ray")
    for node in top.tree.body if top else ():
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_EXPORTS":
            yield from sorted(ast.literal_eval(node.value).items())


def _definition(module: Module | None, name: str) -> ast.stmt | None:
    for node in module.tree.body if module else ():
        if isinstance(node, DEFINITIONS) and node.name == name:
            return node
    return None


def _has_example(node: ast.stmt) -> bool:
    assert isinstance(node, DEFINITIONS)
    return bool(re.search(r"^Examples?:", ast.get_docstring(node) or "", re.MULTILINE))


def _shown(repository: Repository) -> set[str]:
    """Every word of the Python blocks of the guides, and of the files of examples/ and jobs/."""
    texts = [
        block
        for path, text in repository.guides.items()
        for block in ([text] if path.endswith((".ipynb", ".py")) else _FENCE.findall(text))
    ]
    texts += [m.text for m in repository.others if m.path.startswith(("examples/", "jobs/"))]
    return {word for text in texts for word in re.findall(r"\w+", text)}


RULE = RepositoryRule(
    CodeRule(
        id="QS204",
        title="public name without an example",
        reason="People copy examples. A name that none shows is used wrongly, or never.",
        suggestion="Add an Examples section to its docstring (it is run as a test), or use it in "
        "a guide.",
    ),
    _find,
)
"""Everything exported is shown."""

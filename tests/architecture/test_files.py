"""What every file of the package keeps to: short, documented, typed, no catch-all, no print."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tests.architecture.source import (
    DEFINITIONS,
    MODULES,
    Function,
    decorators,
    public,
)

FORBIDDEN_WORDS = {"manager", "helper", "helpers", "util", "utils", "enhanced", "smart"}
VERSION = re.compile(r"^v\d+$")
ABSTRACT = {"Protocol", "ABC", "ABCMeta", "Backend"}
CATCH_ALL = {"Exception", "BaseException"}

# (file, function) → why this one place must catch everything
CATCH_ALL_ALLOWED: dict[tuple[str, str], str] = {
    ("qstore_ray/backends/ibm/gateway/gateway.py", "_run"): "hands the error to all who wait",
    (
        "qstore_ray/backends/ibm/service/session.py",
        "get_headers",
    ): "the client's token manager raises errors of another package; the request then fails",
    (
        "qstore_ray/backends/ibm/service/trouble.py",
        "translated",
    ): "the client's errors have no common base; what is not theirs is raised again",
    ("qstore_ray/circuits/functions.py", "called"): "runs the user's function",
    ("qstore_ray/circuits/functions.py", "imported"): "runs the user's module",
    ("qstore_ray/circuits/qiskit/gates.py", "_definition"): "runs the code of a user's gate class",
    ("qstore_ray/deadline.py", "_run"): "hands a thread's error to the one that waits for it",
    (
        "qstore_ray/train/ray/session.py",
        "_start",
    ): "Ray raises Exception itself if a node takes too long; what is not Ray's is raised again",
}


def test_modules_open_with_their_idea():
    """The `__init__` of a room, too: it is the sign at the door."""
    assert [m.path for m in MODULES if not ast.get_docstring(m.tree)] == []


def test_names_say_what_a_thing_is():
    names = [(module.path, module.name.rpartition(".")[2]) for module in MODULES]
    names += [
        (f"{module.path}:{node.lineno}", node.name)
        for module in MODULES
        for node in module.nodes
        if isinstance(node, DEFINITIONS)
    ]
    assert [(where, name) for where, name in names if _says_nothing(name)] == []


def _says_nothing(name: str) -> bool:
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    words = set(spaced.lower().split("_"))
    return bool(words & FORBIDDEN_WORDS) or any(VERSION.match(word) for word in words)


def test_only_named_errors_are_caught():
    caught = [
        (module.path, function, node.lineno)
        for module in MODULES
        for function, node in _functions(module.tree)
        if isinstance(node, ast.ExceptHandler) and _catches_all(node)
    ]
    assert [where for where in caught if where[:2] not in CATCH_ALL_ALLOWED] == []
    assert set(CATCH_ALL_ALLOWED) <= {where[:2] for where in caught}, "the list is out of date"


def _catches_all(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    names = {leaf.id for leaf in ast.walk(handler.type) if isinstance(leaf, ast.Name)}
    return bool(names & CATCH_ALL)


def _functions(tree: ast.AST, inside: str = "") -> Iterator[tuple[str, ast.AST]]:
    """Each node with the name of the innermost function around it, "" at module level."""
    for child in ast.iter_child_nodes(tree):
        yield inside, child
        name = child.name if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) else inside
        yield from _functions(child, name)


WALL_CLOCK = {"time.time", "datetime.now", "datetime.utcnow"}

# files that want the date; everything that measures a duration asks `time.monotonic`
DATED = {
    "qstore_ray/backends/ibm/ledger/ledger.py",
    "qstore_ray/data/service/client/answers.py",  # a server says a date until which to wait
    "qstore_ray/cli/app.py",  # when a command was typed
    "qstore_ray/cli/usage.py",  # of the last days
    "qstore_ray/data/service/server/store.py",
    "qstore_ray/ops/notify/webhook.py",  # a signature has its date
    "qstore_ray/ops/watch/tracker.py",  # an alert has its date
    "qstore_ray/storage/lease.py",  # since when; its age is by the clock of the store
    "qstore_ray/track/attempt.py",  # when an attempt at a run began
    "qstore_ray/track/mlflow/tracker.py",
    "qstore_ray/track/tensorboard.py",
    "qstore_ray/train/run/lock.py",
}


def test_a_clock_that_jumps_changes_no_duration():
    asked = {
        module.path
        for module in MODULES
        for node in module.nodes
        if isinstance(node, ast.Call) and ast.unparse(node.func) in WALL_CLOCK
    }
    assert asked == DATED


def test_importing_a_file_prints_nothing():
    prints = [
        f"{module.path}:{node.lineno}"
        for module in MODULES
        for function, node in _functions(module.tree)
        if not function and isinstance(node, ast.Call) and ast.unparse(node.func) == "print"
    ]
    assert prints == []


def test_what_is_public_is_documented():
    """A method that a protocol or an abstract class documents need not be documented again."""
    contracts = _documented_contracts()
    bare = [
        f"{module.path}:{node.lineno} {name}"
        for module in MODULES
        for name, node in public(module.tree.body)
        if not ast.get_docstring(node)
        and not ("." in name and node.name in contracts)
        and not decorators(node) & {"overload", "setter"}
        and not node.name.startswith("test_")  # the name of a law is its sentence
    ]
    assert bare == []


def _documented_contracts() -> set[str]:
    return {
        method.name
        for module in MODULES
        for node in module.nodes
        if isinstance(node, ast.ClassDef) and {ast.unparse(b) for b in node.bases} & ABSTRACT
        for method in node.body
        if isinstance(method, ast.FunctionDef) and ast.get_docstring(method)
    }


def test_what_is_public_is_typed():
    bare = [
        f"{module.path}:{node.lineno} {name}: {missing}"
        for module in MODULES
        for name, node in public(module.tree.body)
        if not isinstance(node, ast.ClassDef) and (missing := _unannotated(node))
    ]
    assert bare == []


def _unannotated(node: Function) -> list[str]:
    arguments = node.args
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    starred = [star for star in (arguments.vararg, arguments.kwarg) if star]
    missing = [a.arg for a in (*named, *starred) if a.annotation is None]
    if missing[:1] in (["self"], ["cls"]):
        missing = missing[1:]
    return missing + ([] if node.returns else ["return"])

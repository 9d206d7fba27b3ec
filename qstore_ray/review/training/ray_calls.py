"""QS114: `ray.get` inside the loop that starts the tasks, so that they run one after the other."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from qstore_ray.review.source import SourceFile, names_in, targets_of
from qstore_ray.review.training.base import Spot, TrainingRule

_COMPREHENSIONS: Final = (ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp)


def _check(source: SourceFile) -> Iterator[Spot]:
    for call in source.calls():
        if source.name_of(call.func) != "ray.get" or not call.args:
            continue
        loop = source.loop_around(call)
        if loop is None or _ends_early(loop):
            continue
        started = _started(source, call.args[0], loop)
        if started is None or _depends_on_itself(source, call, started):
            continue
        yield Spot(
            call,
            "each task is waited for before the next one starts: they run one after the other",
            "Start all tasks first, then wait once: refs = [task.remote(x) for x in items]; "
            "results = ray.get(refs).",
            also=(started,),
        )


def _started(source: SourceFile, waited: ast.expr, loop: ast.AST) -> ast.Call | None:
    """The one task that is waited for, if the same pass of the loop starts it."""
    if isinstance(waited, ast.Call) and _is_remote(waited):
        return waited
    if isinstance(waited, ast.Name):
        for node in ast.walk(loop):
            if isinstance(node, ast.Assign) and waited.id in targets_of(node):
                value = node.value
                if source.loop_around(node) is loop and isinstance(value, ast.Call):
                    return value if _is_remote(value) else None
    return None


def _ends_early(loop: ast.AST) -> bool:
    """Whether a result may end the loop, as in a search or when something is tried again."""
    return any(isinstance(node, ast.Return | ast.Break | ast.Raise) for node in ast.walk(loop))


def _is_remote(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and call.func.attr == "remote"


def _depends_on_itself(source: SourceFile, call: ast.Call, started: ast.Call) -> bool:
    """Whether the next task needs this one's result, as each step of a training does."""
    statement = source.statement_of(call)
    results = targets_of(statement) if statement is not None else set()
    given = {name for each in (*started.args, *started.keywords) for name in names_in(each)}
    is_alone = isinstance(statement, ast.Expr) and not isinstance(
        source.parent(call), _COMPREHENSIONS
    )
    # A call of an actor for its effect, awaited on purpose, is a step, too.
    return bool(results & given) or (is_alone and source.parent(call) is statement)


RAY_GET_IN_LOOP: Final = TrainingRule(
    id="QS114",
    title="ray-get-in-loop",
    level="warning",
    reason="The cluster works on one task at a time.",
    bad="import ray\n\nscores = []\nfor seed in range(8):\n"
    "    scores.append(ray.get(train.remote(seed)))\n",
    good="import ray\n\nrefs = [train.remote(seed) for seed in range(8)]\nscores = ray.get(refs)\n",
    check=_check,
)

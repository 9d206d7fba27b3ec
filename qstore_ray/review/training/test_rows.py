"""QS112: test rows decide when a training stops, which epoch is kept, or which trial is best.

The score of what was chosen is then the best of several on the same rows, not one on new rows.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Final

from qstore_ray.review.source import SourceFile, identifiers, keyword, targets_of
from qstore_ray.review.training.base import Spot, TrainingRule

_TEST: Final = re.compile(
    r"(^|_)([xy]_?)?test(s|ing)?(_|\d|[A-Z]|$)|^(X|Y|x|y)test$|[a-z]Test([A-Z]|$)"
)
_VALIDATION: Final = re.compile(r"(^|_)(val|valid|validation|dev)(_|\d|$)", re.IGNORECASE)
_SCORE: Final = re.compile(
    r"(^|_)(acc|accuracy|loss|score|auc|f1|mse|mae|rmse|error|err|cost|r2|metric)s?(_|\d|$)",
    re.IGNORECASE,
)
_BEST: Final = re.compile(r"(^|_)(best|max|min|lowest|highest|top)(_|$)", re.IGNORECASE)
_STOPS: Final = ("EarlyStopping", "ModelCheckpoint", "ReduceLROnPlateau", "early_stopping")
_SETS: Final = (
    "validation_data",
    "eval_set",
    "valid_sets",
    "evals",
    "val_loader",
    "val_dataloaders",
)


def _check(source: SourceFile) -> Iterator[Spot]:
    stops = any(name.rpartition(".")[2] in _STOPS for name in source.imported.values()) or any(
        _is_stopping(call) for call in source.calls()
    )
    for call in source.calls():
        if stops and (spot := _given_as_validation(call)) is not None:
            yield spot
        if (spot := _monitored(source, call)) is not None:
            yield spot
    for node in source.nodes:
        if isinstance(node, ast.If) and (spot := _kept_by_test(node)) is not None:
            yield spot
        elif isinstance(node, ast.FunctionDef):
            yield from _returned_to_search(source, node)


def _is_stopping(call: ast.Call) -> bool:
    return keyword(call, "early_stopping_rounds", "early_stopping") is not None


def _is_test(node: ast.AST) -> bool:
    """Whether an expression is made of test rows, as far as its names say so."""
    names = identifiers(node)
    return any(_TEST.search(name) for name in names) and not any(map(_VALIDATION.search, names))


def _given_as_validation(call: ast.Call) -> Spot | None:
    for name in _SETS:
        value = keyword(call, name)
        if value is None:
            continue
        # Of several sets the last one decides (XGBoost, LightGBM).
        last = value.elts[-1] if isinstance(value, ast.List) and value.elts else value
        if _is_test(last):
            return Spot(
                value,
                f"the test rows are given as {name}, and decide when the training stops or which "
                "weights are kept",
                f"Cut validation rows from the training rows for {name}, and score the test rows "
                "once, at the end.",
            )
    return None


def _monitored(source: SourceFile, call: ast.Call) -> Spot | None:
    value = keyword(call, "monitor")
    if not isinstance(value, ast.Constant) or not isinstance(value.value, str):
        return None
    if not _TEST.search(value.value):
        return None
    func = call.func
    name = source.name_of(func) or (func.id if isinstance(func, ast.Name) else "")
    return Spot(
        call,
        f"{name.rpartition('.')[2] or 'a callback'} watches {value.value!r}, a score of test rows",
        "Watch the same score of validation rows, such as monitor='val_loss'.",
    )


def _kept_by_test(node: ast.If) -> Spot | None:
    """`if test_acc > best_acc: best_acc = test_acc`: the epoch is chosen by its test score."""
    for compared in ast.walk(node.test):
        if not isinstance(compared, ast.Compare) or len(compared.comparators) != 1:
            continue
        if not isinstance(compared.ops[0], ast.Lt | ast.LtE | ast.Gt | ast.GtE):
            continue
        sides = (compared.left, compared.comparators[0])
        for score, best in (sides, sides[::-1]):
            bests = {name for name in identifiers(best) if _BEST.search(name)}
            assigned = {
                name for part in node.body for each in ast.walk(part) for name in targets_of(each)
            } | {
                each.attr
                for part in node.body
                for each in ast.walk(part)
                if isinstance(each, ast.Attribute) and isinstance(each.ctx, ast.Store)
            }
            is_best = any(_BEST.search(name) for name in identifiers(score))
            if bests & assigned and not is_best and _is_test(score):
                return Spot(
                    compared,
                    "what is kept is chosen by a score of test rows",
                    "Choose by the score of validation rows, and score the test rows once, at "
                    "the end.",
                )
    return None


def _returned_to_search(source: SourceFile, function: ast.FunctionDef) -> Iterator[Spot]:
    """The value that a trial of Optuna returns is what the search chooses by."""
    suggests = any(
        isinstance(node, ast.Attribute) and node.attr.startswith("suggest_")
        for node in ast.walk(function)
    )
    if not suggests:
        return
    for node in ast.walk(function):
        if not isinstance(node, ast.Return) or node.value is None:
            continue
        if source.scope_of(node) is function and _is_test_score(node.value):
            yield Spot(
                node,
                "the search chooses hyperparameters by a score of test rows",
                "Return the score of validation rows, and score the test rows once, with the "
                "best trial.",
            )


def _is_test_score(value: ast.expr) -> bool:
    """A name of a test score, or a call that is given test rows."""
    if isinstance(value, ast.Name) and not _TEST.search(value.id):
        return False
    if isinstance(value, ast.Name | ast.Attribute):
        names = identifiers(value)
        return _is_test(value) and any(_SCORE.search(name) for name in names)
    return isinstance(value, ast.Call) and _is_test(value)


TEST_ROWS_DECIDE: Final = TrainingRule(
    id="QS112",
    title="test-rows-decide",
    level="error",
    reason="The best of many scores on the test rows is better than the score on new rows.",
    bad="for epoch in range(100):\n"
    "    weights = step(weights)\n"
    "    test_acc = accuracy(weights, X_test, y_test)\n"
    "    if test_acc > best_acc:\n"
    "        best_acc, best_weights = test_acc, weights\n",
    good="for epoch in range(100):\n"
    "    weights = step(weights)\n"
    "    val_acc = accuracy(weights, X_val, y_val)\n"
    "    if val_acc > best_acc:\n"
    "        best_acc, best_weights = val_acc, weights\n"
    "print(accuracy(best_weights, X_test, y_test))\n",
    check=_check,
)

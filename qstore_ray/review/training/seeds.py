"""QS110: splits, samplers and made data without a seed, whose result nobody can repeat.

Generators of numpy and of Python without a seed are a matter of QS101.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from qstore_ray.review.source import (
    SourceFile,
    has_more_keywords,
    is_none,
    is_value,
    keyword,
)
from qstore_ray.review.training.base import Spot, TrainingRule

_SPLITTERS: Final = {
    f"sklearn.model_selection.{name}"
    for name in (
        "train_test_split", "ShuffleSplit", "StratifiedShuffleSplit", "GroupShuffleSplit",
        "RepeatedKFold", "RepeatedStratifiedKFold",
    )
}  # fmt: skip
_FOLDS: Final = {
    f"sklearn.model_selection.{name}"
    for name in ("KFold", "StratifiedKFold", "StratifiedGroupKFold")
}
_MADE: Final = "sklearn.datasets.make_"
_NOT_RANDOM: Final = {"sklearn.datasets.make_circles", "sklearn.datasets.make_moons"}
_SAMPLERS: Final = {
    "qiskit.primitives.StatevectorSampler": "seed",
    "optuna.samplers.TPESampler": "seed",
    "optuna.samplers.RandomSampler": "seed",
    "optuna.samplers.CmaEsSampler": "seed",
    "optuna.samplers.GPSampler": "seed",
}
"""What draws, and the argument that seeds it."""

_SEEDERS: Final = ("numpy.random.seed", "pennylane.numpy.random.seed")


def _check(source: SourceFile) -> Iterator[Spot]:
    seeds_numpy = any(source.name_of(call.func) in _SEEDERS for call in source.calls())
    for call in source.calls():
        name = source.name_of(call.func)
        if not name or has_more_keywords(call):
            continue
        argument = _missing(name, call)
        if argument is None or (argument == "random_state" and seeds_numpy):
            continue  # scikit-learn then draws from the global generator, which has its own rule
        short = name.rpartition(".")[2]
        yield Spot(
            call,
            f"{short} draws without a seed, so that no run can be repeated",
            f"Write {short}(…, {argument}=0), and keep the number with the results.",
        )


def _missing(name: str, call: ast.Call) -> str | None:
    """The argument that a call lacks; None if nothing is missing."""
    if name in _SPLITTERS:
        keeps_order = is_value(keyword(call, "shuffle"), False)
        return None if keeps_order or not is_none(keyword(call, "random_state")) else "random_state"
    if name in _FOLDS:
        shuffles = is_value(keyword(call, "shuffle"), True)
        return "random_state" if shuffles and is_none(keyword(call, "random_state")) else None
    if name.startswith(_MADE):
        quiet = name in _NOT_RANDOM and is_none(keyword(call, "noise"))
        return None if quiet or not is_none(keyword(call, "random_state")) else "random_state"
    if name in _SAMPLERS:
        given = call.args[0] if call.args else keyword(call, _SAMPLERS[name])
        return _SAMPLERS[name] if is_none(given) else None
    return None


MISSING_SEED: Final = TrainingRule(
    id="QS110",
    title="missing-seed",
    level="warning",
    reason="A result that was drawn without a seed cannot be repeated, nor compared fairly.",
    bad="from sklearn.model_selection import train_test_split\n\n"
    "train, test = train_test_split(rows, test_size=0.2)\n",
    good="from sklearn.model_selection import train_test_split\n\n"
    "train, test = train_test_split(rows, test_size=0.2, random_state=0)\n",
    check=_check,
)

"""What we write beside a trial in Optuna's storage: where it came from, and how it ended.

A mark is a user attribute of the trial. Those that say where a trial came from are written together
with the trial, in one record, which is what makes every way into the queue happen once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

DESIGN = "design"
"""The index of a point of a design."""
POINT = "point"
"""The fingerprint of a point to try first."""
COPIED = "copied_from"
"""The study and number of a trial of an earlier study."""
REPEATS = "repeats"
"""The number of the interrupted trial that this one repeats."""
ROOT = "root"
"""The number of the first trial of a chain of repetitions."""
INTERRUPTED = "interrupted"
"""The trial was running when its driver ended."""
SAME_AS = "same_as"
"""The number of the trial with the same values; this one took its result and was not run."""
CHANGED = "changed"
"""The values that a trial has now, if a scheduler changed them while it trained."""
ERROR = "error"
"""Why a trial failed."""
EVALUATIONS = "circuit_evaluations"
"""Circuits that a trial had evaluated."""
INTERVAL = "interval"
"""Of a trial of several trainings, the 95 % interval of its first objective."""


def counts(trial: FrozenTrial) -> bool:
    """Whether a trial counts: it runs or has ended, in this study, and was neither interrupted nor
    a repetition of one that has the same values.
    """
    from optuna.trial import TrialState

    not_counted = {COPIED, INTERRUPTED, SAME_AS} & trial.user_attrs.keys()
    return not not_counted and trial.state != TrialState.WAITING


def root(number: int, marks: Mapping[str, Any]) -> tuple[int, int | None]:
    """The first trial of a chain of repetitions, and the one that is repeated."""
    return marks.get(ROOT, number), marks.get(REPEATS)

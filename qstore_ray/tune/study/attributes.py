"""What we write beside a trial in Optuna's storage: where it came from, and how it ended.

A mark is a user attribute of the trial. Those that say where a trial came from are written together
with the trial, in one record, which is what makes every way into the queue happen once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypedDict, cast

from qstore_ray.tune.space.fields import Values

if TYPE_CHECKING:
    from optuna.trial import BaseTrial, FrozenTrial

DESIGN: Final = "design"
"""The index of a point of a design."""
POINT: Final = "point"
"""The fingerprint of a point to try first."""
COPIED: Final = "copied_from"
"""The study and number of a trial of an earlier study."""
REPEATS: Final = "repeats"
"""The number of the interrupted trial that this one repeats."""
ROOT: Final = "root"
"""The number of the first trial of a chain of repetitions."""
INTERRUPTED: Final = "interrupted"
"""The trial was running when its driver ended."""
SAME_AS: Final = "same_as"
"""The number of the trial with the same values; this one took its result and was not run."""
CHANGED: Final = "changed"
"""The values that a trial has now, if a scheduler changed them while it trained."""
ERROR: Final = "error"
"""Why a trial failed."""
EVALUATIONS: Final = "circuit_evaluations"
"""Circuits that a trial had evaluated."""
INTERVAL: Final = "interval"
"""Of a trial of several trainings, the 95 % interval of its first objective."""


RUN_ID: Final = "run_id"
"""An attribute of the study: what distinguishes it from an earlier one of the same name."""


class Marks(TypedDict, total=False):
    """The marks of a trial, as Optuna's storage has them."""

    design: int
    point: str
    copied_from: str
    repeats: int
    root: int
    interrupted: bool
    same_as: int
    changed: Values
    error: str | None
    circuit_evaluations: int | None
    interval: list[float] | None


def counts(trial: FrozenTrial) -> bool:
    """Whether a trial counts: it runs or has ended, in this study, and was neither interrupted nor
    a repetition of one that has the same values.
    """
    from optuna.trial import TrialState

    not_counted = {COPIED, INTERRUPTED, SAME_AS} & trial.user_attrs.keys()
    return not not_counted and trial.state != TrialState.WAITING


def root(trial: BaseTrial) -> tuple[int, int | None]:
    """The first trial of a chain of repetitions, and the one that is repeated."""
    marks = cast("Marks", trial.user_attrs)
    return marks.get(ROOT, trial.number), marks.get(REPEATS)

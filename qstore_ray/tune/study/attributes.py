"""What we write beside a trial in Optuna's storage: where it came from, and how it ended.

A mark is a user attribute of the trial. Those that say where a trial came from are written together
with the trial, in one record, which is what makes every way into the queue happen once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, TypedDict, cast

from qstore_ray.backends.paid import PaidUsage
from qstore_ray.tune.space.fields import Values

if TYPE_CHECKING:
    import optuna
    from optuna.trial import BaseTrial, FrozenTrial

    from qstore_ray.tune.space.space import Space
    from qstore_ray.types import ReadOnlyTable

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
USED: Final = "hardware"
"""Attributes of the study: what it has used of paid hardware, and with the name of a run folder
behind it (`hardware/trial-0007`), what that one has. Not of trials: those that ended are closed."""


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


def fail_interrupted(study: optuna.Study, key: int) -> None:
    """End a trial that no process runs; it does not count.

    Args:
        key: of the trial in the storage: one of another process has no public way.
    """
    from optuna.trial import TrialState

    study._storage.set_trial_user_attr(key, INTERRUPTED, value=True)  # noqa: SLF001
    study._storage.set_trial_state_values(key, TrialState.FAIL)  # noqa: SLF001


def record_usage(study: optuna.Study, used: Mapping[str, PaidUsage]) -> None:
    """Write what run folders have used of paid hardware, and "" → the whole study."""
    known = study.user_attrs
    for run, usage in used.items():
        name, now = f"{USED}/{run}" if run else USED, usage.metrics()
        if known.get(name) != now:
            study.set_user_attr(name, now)


def recorded_usage(marks: ReadOnlyTable) -> dict[str, PaidUsage]:
    """Run folder → what it has used of paid hardware, and "" → the study.

    Args:
        marks: the attributes of the study.
    """
    found = {
        name.removeprefix(USED).removeprefix("/"): PaidUsage.of_metrics(
            cast("ReadOnlyTable", value)
        )
        for name, value in marks.items()
        if name == USED or name.startswith(f"{USED}/")
    }
    return {run: used for run, used in found.items() if used}


def enqueue(study: optuna.Study, space: Space, values: Values, marks: Marks) -> None:
    """Put a point in the queue of a study; what it leaves out, the sampler will choose."""
    searched = {field: v for field, v in values.items() if space.parameters[field].type != "fixed"}
    stored = {field: space.parameters[field].stored(value) for field, value in searched.items()}
    study.enqueue_trial(stored, user_attrs=dict(marks))

"""What a trial has found: read from the study's storage, its epochs from its run folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypedDict

from qstore_ray.backends.paid import PaidUsage
from qstore_ray.track.base import Record
from qstore_ray.track.jsonl import epoch_records, read_records
from qstore_ray.track.logs.text import cut, redact, redact_message
from qstore_ray.tune.space.fields import Values
from qstore_ray.tune.space.space import Space
from qstore_ray.tune.study.attributes import (
    CHANGED,
    ERROR,
    EVALUATIONS,
    INTERRUPTED,
    INTERVAL,
    root,
)
from qstore_ray.tune.study.warm_start import values_of

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial


_LONGEST = 200


@dataclass(frozen=True)
class TrialFailure:
    """A trial that ended without a result, and why."""

    reason: str


@dataclass(frozen=True)
class Pruned:
    """A trial that was ended early; its last report stands.

    Attributes:
        reason: None if others do better.
    """

    reason: str | None = None


TrialOutcome: TypeAlias = Sequence[float] | TrialFailure | Pruned


@dataclass(frozen=True)
class TrialResult:
    """One trial.

    Args:
        number: in the study.
        status: waiting, running, completed, pruned, failed or interrupted.
        parameters: what it tried, dotted field → value; the last ones, where a scheduler changed
            them.
        objectives: metric → value, of trials that have one.
        interval: where a trial is several trainings, the 95 % interval [low, high] of the mean that
            is its first objective; they share rows, so it is rather too narrow.
        seconds: from its start to its end.
        epochs: a table an epoch: the run folder's records, or the reports of the first
            objective without a run folder.
        circuit_evaluations: circuits that it evaluated, if reported.
        error: why it failed.
        run: the name of its run folder.
        repeats: the number of the interrupted trial that it repeats.
        hardware: what it has used of paid hardware, with all trainings of its run folder: `jobs`,
            `executions`, `seconds`, `pending_seconds`, `money`; empty if nothing.
    """

    number: int
    status: str
    parameters: Values
    objectives: dict[str, float] = field(default_factory=dict)
    interval: list[float] | None = None
    seconds: float | None = None
    epochs: list[Record] = field(default_factory=list)
    circuit_evaluations: int | None = None
    error: str | None = None
    run: str = ""
    repeats: int | None = None
    hardware: dict[str, float] = field(default_factory=dict)

    def __repr__(self) -> str:
        shown = redact({"parameters": self.parameters, "objectives": self.objectives})
        epochs = f"{len(self.epochs)} epoch{'s' * (len(self.epochs) != 1)}"
        told = [str(self.number), repr(self.status), epochs]
        told += [f"{name}={cut(repr(value), _LONGEST)}" for name, value in shown.items() if value]
        told += [f"error={cut(redact_message(self.error), _LONGEST)!r}"] if self.error else []
        return f"TrialResult({', '.join(told)})"


class TrialResultDict(TypedDict):
    """A `TrialResult` as `result.json` holds it."""

    number: int
    status: str
    parameters: Values
    objectives: dict[str, float]
    interval: list[float] | None
    seconds: float | None
    epochs: list[Record]
    circuit_evaluations: int | None
    error: str | None
    run: str
    repeats: int | None
    hardware: dict[str, float]


def trial_result(
    trial: FrozenTrial,
    space: Space,
    metrics: Sequence[str],
    folder: Path,
    used: Mapping[str, PaidUsage],
) -> TrialResult:
    """What the study and the run folder say of a trial.

    Args:
        space: that the trial's values are of.
        metrics: of the objectives, in their order.
        folder: of the study, with the run folders of its trials.
        used: run folder → what was used for it; it counts for the last of its trials.
    """
    first, repeats = root(trial)
    run = f"trial-{first:04d}"
    chosen = trial.params or trial.system_attrs.get("fixed_params", {})
    values = trial.values or []
    return TrialResult(
        number=trial.number,
        status=_status(trial),
        parameters=trial.user_attrs.get(CHANGED) or values_of(space, chosen) or dict(chosen),
        objectives=dict(zip(metrics, values, strict=False)),  # pruned: of the first one
        interval=trial.user_attrs.get(INTERVAL),
        seconds=None if trial.duration is None else trial.duration.total_seconds(),
        epochs=_epochs(trial, folder / run / "metrics.jsonl", metrics[0]),
        circuit_evaluations=trial.user_attrs.get(EVALUATIONS),
        error=trial.user_attrs.get(ERROR),
        run=run,
        repeats=repeats,
        hardware=used[run].numbers() if run in used else {},
    )


def _status(trial: FrozenTrial) -> str:
    if INTERRUPTED in trial.user_attrs:
        return "interrupted"
    names = {"complete": "completed", "fail": "failed"}
    return names.get(trial.state.name.lower(), trial.state.name.lower())


def _epochs(trial: FrozenTrial, file: Path, metric: str) -> list[Record]:
    records = [dict(record) for record in epoch_records(read_records(file))]
    reported = [{"epoch": e, metric: v} for e, v in sorted(trial.intermediate_values.items())]
    return records or reported

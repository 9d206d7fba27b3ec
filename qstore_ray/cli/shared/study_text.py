"""A study as text: what it found in a few lines, its trials as a table, its values in short."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from qstore_ray.cli.output import table
from qstore_ray.cli.shared.paid_text import with_usage

if TYPE_CHECKING:
    from qstore_ray.tune.study.result import StudyResult
    from qstore_ray.tune.study.trial_result import TrialResult

_LONGEST: Final = 40


def summary_of(result: StudyResult) -> Iterable[tuple[str, Any]]:
    """Names and values that summarise a study in a few lines."""
    from qstore_ray.backends.paid import PaidUsage

    goals = (f"{metric}, {way}" for metric, way in result.objectives.items())
    yield "objectives", "; ".join(goals)
    yield "trials", result.count_text() or "none"
    if not result.best:
        yield "best", "none, no trial was completed"
    elif len(result.objectives) == 1:
        (trial,) = result.best_trials()
        yield "best", f"{_values(trial)} in trial {trial.number}"
        for field, value in trial.parameters.items():
            yield f"  {field}", shown(value)
    else:
        for trial in result.best_trials():
            yield "on the front", f"trial {trial.number}: {_values(trial)}"
    if used := PaidUsage.of_numbers(result.hardware):
        yield "hardware", used.text()
    for row in result.failures():
        numbers = ", ".join(map(str, row["trials"][:10])) + (", …" if row["count"] > 10 else "")
        yield "failed", f"{row['count']} × {plain(str(row['cause']))} (trials {numbers})"


def _values(trial: TrialResult) -> str:
    values = [f"{metric} {value:.6g}" for metric, value in trial.objectives.items()]
    if trial.interval:
        values[0] += f" ({trial.interval[0]:.4g} to {trial.interval[1]:.4g})"
    return ", ".join(values)


def trial_table(result: StudyResult) -> str:
    """A row a trial; what all trials have in common is no column."""
    fields = dict.fromkeys(field for trial in result.trials for field in trial.parameters)
    cells_of = {
        field: [shown(trial.parameters.get(field)) for trial in result.trials] for field in fields
    }
    varied = {f: cells for f, cells in cells_of.items() if len(set(cells)) > 1 or len(cells) == 1}
    names = short_names(list(varied))
    header = ["trial", "status", *result.objectives, "epochs", "seconds", *names]
    rows = [
        [
            str(trial.number),
            _status(result, trial),
            *(shown(trial.objectives.get(metric)) for metric in result.objectives),
            str(len(trial.epochs)),
            "-" if trial.seconds is None else f"{trial.seconds:.1f}",
            *(cells[place] for cells in varied.values()),
        ]
        for place, trial in enumerate(result.trials)
    ]
    return table(*with_usage(header, rows, [trial.hardware for trial in result.trials]))


def _status(result: StudyResult, trial: TrialResult) -> str:
    if (by := result.repeated_by.get(trial.number)) is not None:
        return f"{trial.status}, repeated by {by}"
    return trial.status + ("*" if trial.number in result.best else "")


def short_names(fields: Sequence[str]) -> list[str]:
    """Names without what is clear without it: the last part, where only one field has it."""
    last = [field.rpartition(".")[2] for field in fields]
    return [
        name if last.count(name) == 1 else field for name, field in zip(last, fields, strict=True)
    ]


def shown(value: Any) -> str:
    """A value in a few characters."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    text = plain(value if isinstance(value, str) else json.dumps(value, default=str))
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def plain(text: str) -> str:
    """A text in one line, without what a terminal would obey."""
    return "".join(c if c.isprintable() else "�" for c in " ".join(text.split()))

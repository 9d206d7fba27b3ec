"""What a search says when it has ended: what was found, where it is, and what to type next."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NotRequired, TypedDict, cast

from qstore_ray.cli.shared.study_text import summary_of
from qstore_ray.storage.address import shown_place, storage_folder
from qstore_ray.wording import decimal

if TYPE_CHECKING:
    from qstore_ray.job import JobConfig
    from qstore_ray.tune.space.fields import Values
    from qstore_ray.tune.study.result import FailureCause, StudyResult
    from qstore_ray.tune.study.trial_result import TrialResult
    from qstore_ray.types import Table

_FILES: Final = {"best_config": "best.toml", "result": "result.json", "report": "report.html"}


class ChosenTrial(TypedDict):
    """The best trial, or one of the front: its number, its objectives, and what it tried."""

    trial: int
    values: dict[str, float]
    parameters: Values


class SearchEnd(TypedDict):
    """The result of a search for `--json`. A file that was not written is null."""

    status: str
    study: str
    folder: str
    trials: dict[str, int]
    objectives: dict[str, str]
    best: NotRequired[ChosenTrial]
    front: NotRequired[list[ChosenTrial]]
    best_config: str | None
    result: str | None
    report: str | None
    failures: list[FailureCause]
    hardware: NotRequired[dict[str, float]]
    refit: NotRequired[Table]


def as_dict(result: StudyResult, job: JobConfig) -> SearchEnd:
    """The result for `--json`: short, since `result.json` has all of it.

    Of several objectives there is `front` instead of `best`. A file that was not written is null.
    """
    from qstore_ray.track.logs.text import redact

    folder, refit = _folders(job)
    chosen = [_chosen(trial) for trial in result.best_trials()]
    found: Table = {
        "status": "finished",
        "study": result.study,
        "folder": str(folder),
        "trials": result.statuses,
        "objectives": result.objectives,
        **({"best": chosen[0]} if len(result.objectives) == 1 else {"front": chosen}),
    }
    for key, name in _FILES.items():
        found[key] = str(folder / name) if (folder / name).exists() else None
    found["failures"] = result.failures()
    if result.hardware:
        found["hardware"] = result.hardware
    if refit:
        found["refit"] = {"run_dir": str(refit), **_test_scores(refit)}
    return cast("SearchEnd", redact(found))


def as_facts(result: StudyResult, job: JobConfig) -> Iterator[tuple[str, Any]]:
    """The same for people, as names and values; the last ones are commands."""
    from qstore_ray.track.mlflow.store import recorded_at

    folder, refit = _folders(job)
    typed = shlex.quote(shown_place(folder))
    yield "study", shown_place(folder)
    yield from summary_of(result)
    if tracked := recorded_at(folder, job.track):
        yield "mlflow", tracked
    if refit:
        named = _test_scores(refit).items()
        scores = ", ".join(f"{name.replace('_', ' ')} {decimal(value)}" for name, value in named)
        yield "refit", f"{scores or 'no test rows'}; trained on train and val"
        yield "next", f"qstore evaluate {shlex.quote(shown_place(refit))}"
    else:
        best = folder / _FILES["best_config"]
        yield "next", f"qstore train {shlex.quote(str(best))}"
    yield "", f"qstore tune show {typed}"
    yield "", f"qstore ui {typed}"


def _folders(job: JobConfig) -> tuple[Path, Path | None]:
    """The study's folder, of an object store the copy, and that of its final training if any."""
    from qstore_ray.tune.driver.finalize import REFIT

    folder = storage_folder(job.storage) / job.name
    return folder, folder / REFIT if job.tune and job.tune.refit else None


def _chosen(trial: TrialResult) -> ChosenTrial:
    return {"trial": trial.number, "values": trial.objectives, "parameters": trial.parameters}


def _test_scores(run_dir: Path) -> dict[str, float]:
    """What a run scored on test, as far as it has it."""
    from qstore_ray.train.run.summary import read_record

    metrics = read_record(run_dir).metrics
    return {
        name: value
        for name in ("test_accuracy", "test_balanced_accuracy", "test_r2", "test_loss")
        if isinstance(value := metrics.get(name), float)
    }

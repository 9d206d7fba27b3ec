"""The search that a run is part of: its trials are attempts on the same validation rows."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from qstore_ray.errors import RunError
from qstore_ray.storage.contents import is_study
from qstore_ray.tune.study.result import StudyResult

REFIT, TRIAL = "refit", "trial"


class SearchFacts(NamedTuple):
    """What a study says of a run in it.

    Attributes:
        role: `refit`, `best trial` or `trial`. statuses: trials by how they ended.
        fields: dotted names of the fields that were searched.
        best: number of the best trial, the first of a front; None if none was completed.
    """

    study: str
    role: str
    trials: int
    statuses: dict[str, int]
    objectives: dict[str, str]
    fields: tuple[str, ...]
    best: int | None


def run_of_study(folder: Path) -> Path:
    """The run folder that stands for a study: its refit, otherwise its best trial.

    Raises:
        RunError: the study has neither, or there is no study.
        StudyError: its storage is locked, damaged or out of reach.
    """
    refit = folder / REFIT
    if (refit / "run.json").exists():
        return refit
    result = StudyResult.load(folder.parent, folder.name)
    if not result.best:
        raise RunError(
            "no trial of this study was completed, so there is no model to document",
            field="run",
            value=str(folder),
            fix="Continue the search, or give the run folder of one of its trials.",
        )
    return folder / result.best_trials()[0].run


def search_of(folder: Path) -> SearchFacts | None:
    """The search that the run in this folder is part of; None if it is part of none.

    Raises:
        RunError, StudyError: the study around it cannot be read.
    """
    study = folder.parent
    if not is_study(study):
        return None
    result = StudyResult.load(study.parent, study.name)
    best = result.best_trials()[0] if result.best else None
    is_best = best is not None and best.run == folder.name
    role = REFIT if folder.name == REFIT else "best trial" if is_best else TRIAL
    fields = {field for trial in result.trials for field in trial.parameters}
    return SearchFacts(
        study=study.name,
        role=role,
        trials=len(result.trials),
        statuses=dict(result.statuses),
        objectives=dict(result.objectives),
        fields=tuple(sorted(fields)),
        best=None if best is None else best.number,
    )

"""Reading what a study has found: from its storage, and the epochs of trials from run folders.

At any time: while the search runs, after it was killed, or when it has ended.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qstore_ray.errors import RunError
from qstore_ray.files import real_path
from qstore_ray.track.base import Record
from qstore_ray.track.jsonl import epoch_records, read_records
from qstore_ray.train.run.run_folder import check_name
from qstore_ray.tune.space.space import Space
from qstore_ray.tune.study.attributes import (
    CHANGED,
    COPIED,
    ERROR,
    EVALUATIONS,
    INTERRUPTED,
    INTERVAL,
    SAME_AS,
    root,
)
from qstore_ray.tune.study.ownership import read_record, recorded_url
from qstore_ray.tune.study.recipe import KEY, public
from qstore_ray.tune.study.storage import name_of, open_storage, study_names
from qstore_ray.tune.study.storage_errors import translated
from qstore_ray.tune.study.warm_start import values_of

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial
from qstore_ray.tune.study.result import StudyResult, TrialResult


def read_result(storage: str | Path, name: str, *, storage_url: str | None = None) -> StudyResult:
    """Read a study, without a lock: its driver may be at work.

    Args:
        storage_url: of its database; without it the folder's own record says where the study is.

    Raises:
        RunError: there is no study of this name.
        StudyError: its storage is locked, damaged or out of reach.

    Examples:
        try:
            read_result("runs", "digits-tune")
        except QStoreError as error:
            print(error)
    """
    import optuna

    folder = real_path(storage) / check_name(name)
    if storage_url is None and (record := read_record(folder)):
        name = record.study  # the folder may have been renamed
    url = storage_url or recorded_url(folder)
    with translated(name_of(folder, url)):
        if name not in study_names(folder, url):
            raise _no_study_error(folder)
        keep = open_storage(folder, url, writing=False)
        study = optuna.load_study(study_name=name, storage=keep)
        recipe = study.user_attrs.get(KEY)
        if recipe is None:
            raise _no_study_error(folder)
        every = study.get_trials(deepcopy=False)
        trials = [t for t in every if not {COPIED, SAME_AS} & t.user_attrs.keys()]
    objectives = dict(recipe["objectives"])
    space = Space.from_dict(recipe["space"])
    results = [_trial(trial, space, list(objectives), folder) for trial in trials]
    best = best_numbers(results, objectives)
    return StudyResult(name, objectives, results, best, public(recipe["job"]), recipe["space"])


def _trial(trial: FrozenTrial, space: Space, metrics: Sequence[str], folder: Path) -> TrialResult:
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


def best_numbers(trials: Sequence[TrialResult], objectives: Mapping[str, str]) -> list[int]:
    """The completed trials that no other one is better than; of one objective, the first."""
    signs = [-1.0 if way == "maximize" else 1.0 for way in objectives.values()]
    costs = {
        trial.number: [s * v for s, v in zip(signs, trial.objectives.values(), strict=True)]
        for trial in trials
        if trial.status == "completed"
    }
    if len(signs) == 1:
        return [min(costs, key=lambda number: costs[number][0])] if costs else []
    return [n for n, cost in costs.items() if not any(_dominates(c, cost) for c in costs.values())]


def _dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))


def _no_study_error(folder: Path) -> RunError:
    return RunError(
        "there is no study of this name",
        field="study",
        value=str(folder),
        fix="Give the storage and the name that it was started with.",
    )

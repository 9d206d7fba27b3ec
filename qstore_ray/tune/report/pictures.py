"""A study as its pictures see it, and their files in the study's folder.

Every parameter becomes an axis of numbers: a choice is its place in the list of choices. What has
only one value (a fixed parameter, a single choice) is no axis.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qstore_ray.errors import UsageError
from qstore_ray.figures.base import Format, save, unwritable_error
from qstore_ray.figures.study.base import Dimension, Search, TrialPoint
from qstore_ray.figures.study.draw import study_figure, study_figures
from qstore_ray.track.logs.text import as_text, is_number
from qstore_ray.tune.report.importance import importances
from qstore_ray.tune.space.parameters import (
    CategoricalParameter,
    FloatParameter,
    IntParameter,
    Parameter,
)
from qstore_ray.tune.space.parameters.base import same_value
from qstore_ray.tune.space.space import Space
from qstore_ray.tune.study.result import StudyResult
from qstore_ray.tune.study.trial_result import TrialResult


def search_of(result: StudyResult) -> Search:
    """What the pictures of a study show."""
    parameters = Space.from_dict(result.space).parameters
    found = {name: _dimension(name, parameter) for name, parameter in parameters.items()}
    dimensions = [dimension for dimension in found.values() if dimension is not None]
    metrics = list(result.objectives)
    tune = result.job.get("tune") or {}
    parts = int(tune.get("seeds") or 1) * int(tune.get("folds") or 1)
    return Search(
        name=result.study,
        objectives={metric: way == "maximize" for metric, way in result.objectives.items()},
        dimensions=dimensions,
        trials=[_point(trial, dimensions, parameters, metrics) for trial in result.trials],
        best=result.best,
        importances=importances(result),
        step="epoch" if parts == 1 else "training",
    )


def draw_study(
    search: Search, folder: Path, kinds: Sequence[str], form: Format = "png"
) -> dict[str, Path]:
    """Draw pictures into a folder, which is created if it is missing; kind → file.

    Raises:
        UnknownNameError: no such kind.
        UsageError: a picture has nothing to draw. The pictures before it have been written.
        RunError: a file cannot be written.
    """
    _make(folder)
    return {kind: save(study_figure(kind, search), folder / f"{kind}.{form}") for kind in kinds}


def draw_possible(
    search: Search, folder: Path, form: Format = "png"
) -> tuple[dict[str, Path], dict[str, str]]:
    """Draw every picture that there is something to draw in: kind → file, and kind → why not.

    Raises:
        RunError: a file cannot be written.
    """
    files: dict[str, Path] = {}
    reasons: dict[str, str] = {}
    _make(folder)
    for kind, figure in study_figures(search):
        if not isinstance(figure, UsageError):
            files[kind] = save(figure, folder / f"{kind}.{form}")
        elif kind != "front" or len(search.metrics) > 1:  # of one objective, it is not expected
            reasons[kind] = figure.message
    return files, reasons


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise unwritable_error(folder, exc) from exc


def _dimension(name: str, parameter: Parameter) -> Dimension | None:
    """The axis of a parameter; None if it has one value only."""
    match parameter:
        case FloatParameter() | IntParameter() if parameter.low < parameter.high:
            whole = isinstance(parameter, IntParameter)
            low, high = float(parameter.low), float(parameter.high)
            return Dimension(name, low, high, log=parameter.log, whole=whole)
        case CategoricalParameter() if len(parameter.choices) > 1:
            return Dimension(name, choices=tuple(as_text(choice) for choice in parameter.choices))
        case _:
            return None


def _point(
    trial: TrialResult,
    dimensions: Sequence[Dimension],
    parameters: Mapping[str, Parameter],
    metrics: Sequence[str],
) -> TrialPoint:
    metric = metrics[0]
    epochs = [(int(r["epoch"]), float(r[metric])) for r in trial.epochs if is_number(r.get(metric))]
    values = [trial.objectives[name] for name in metrics if name in trial.objectives]
    if not values and trial.status in ("running", "pruned"):
        values = [value for _, value in epochs[-1:]]
    at = {
        dimension.name: _place(parameters[dimension.name], trial.parameters[dimension.name])
        for dimension in dimensions
        if dimension.name in trial.parameters
    }
    return TrialPoint(trial.number, trial.status, at, values, epochs)


def _place(parameter: Parameter, value: Any) -> float:
    if isinstance(parameter, CategoricalParameter):
        return float([same_value(value, choice) for choice in parameter.choices].index(True))
    return float(value)

"""What a study is made of, and whether a search may resume it.

The recipe lies in the study's own storage: the space, the objectives, the data's fingerprint, and
the job that trials are made from. To resume a study, all of it must be equal, except where the job
runs and what it keeps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from qstore_ray.config import Config
from qstore_ray.credentials import without_login
from qstore_ray.data.config import DatasetConfig
from qstore_ray.errors import RunExistsError, shown_value
from qstore_ray.learn.losses import get_loss
from qstore_ray.train.config import TrainerConfig
from qstore_ray.train.run.same_run import (
    EARLIER,
    EARLIER_RANKS,
    differences,
    with_same_circuit,
)
from qstore_ray.tune.objective import Objective
from qstore_ray.tune.space.fields import SEARCHED
from qstore_ray.tune.space.space import Space
from qstore_ray.types import Table

KEY = "qstore"
"""The study's user attribute that holds it."""

Change = tuple[Any, Any]
"""The values of a field that differs, before and now; None if it does not exist."""

_RANKS = "dataset.split.ranks"  # The fingerprint of the data says what these decide.


class StudyRecipe(TypedDict):
    """What a study is made of, JSON-ready.

    Keys:
        space: as a table. objectives: pairs of metric and direction. data: its fingerprint.
        decides: the fields of the job that change a trial's result. job: all of it.
    """

    space: Table
    objectives: list[list[str]]
    data: str
    decides: dict[str, Table]
    job: Table


def study_recipe(
    space: Space, job: Config, objectives: Sequence[Objective], data_fingerprint: str
) -> StudyRecipe:
    """The recipe of a study, JSON-ready; the job is kept whole, for the best configuration."""
    decides = {part: getattr(job, part) for part in SEARCHED if part in type(job).model_fields}
    return {
        "space": space.to_dict(),
        "objectives": [[o.metric, o.direction] for o in objectives],
        "data": data_fingerprint,
        "decides": {
            part: config.recipe(regression=_regression(job))
            if isinstance(config, TrainerConfig)
            else config.to_dict()
            for part, config in decides.items()
        },
        "job": job.to_dict(),
    }


def _regression(job: Config) -> bool:
    loss = getattr(getattr(job, "model", None), "loss", "auto")
    goal = None if loss == "auto" else get_loss(loss).goal
    return getattr(getattr(job, "dataset", None), "task", "") == "regression" and goal in {
        None,
        "regression",
    }


def public(recipe: Any) -> Any:
    """A recipe without the logins that an earlier version kept in its job's URLs."""
    if isinstance(recipe, Mapping):
        return {key: public(value) for key, value in recipe.items()}
    if isinstance(recipe, list | tuple):
        return [public(value) for value in recipe]
    return without_login(recipe) if isinstance(recipe, str) else recipe


def check_same(earlier: StudyRecipe, now: StudyRecipe) -> None:
    """Check that a study made of `earlier` can be resumed with `now`.

    Raises:
        RunExistsError: it was started with another space, job, objective or other data; the error
            has the first field that differs, its two values, and the names of the other fields.
    """
    before, after = _flat(_completed(earlier.get("decides")), ""), _flat(now["decides"], "")
    known = {field: EARLIER[field] for field in EARLIER.keys() & after.keys()}
    before = {**known, **with_same_circuit(before, after, "study")}
    for fields in (before, after):
        fields.pop(_RANKS, None)
    changes = (
        _space_changes(earlier.get("space") or {}, now["space"])
        | differences(*(_judged(each) for each in (earlier.get("objectives"), now["objectives"])))
        | differences(before, after)
    )
    if earlier.get("data") != now["data"]:
        changes = _data_changes(str(earlier.get("data")), now["data"], changes) | changes
    if changes:
        raise _other_recipe_error(changes)


def _space_changes(before: Table, now: Table) -> dict[str, Change]:
    """What differs between two spaces: the bounds of a parameter, or all of it."""
    changes: dict[str, Change] = {}
    for field in sorted(before.keys() | now.keys()):
        was, value, place = before.get(field), now.get(field), f"tune.space.{field}"
        if was is None or value is None or was.get("type") != value.get("type"):
            changes |= {} if was == value else {place: (was, value)}
        else:
            changes |= differences(_flat(was, place), _flat(value, place))
    return changes


def _judged(objectives: Sequence[Sequence[str]] | None) -> Table:
    """Objectives as a message shows them: val_loss, minimize."""
    return {"tune.objectives": "; ".join(", ".join(pair) for pair in objectives or ())}


def _data_changes(was: str, value: str, changes: Mapping[str, Change]) -> dict[str, Change]:
    """The fields of the dataset that differ; the fingerprints if none does, so that the rows do."""
    fields = {field: change for field, change in changes.items() if field.startswith("dataset.")}
    rows = (f"other data, fingerprint {each[:16]}" for each in (was, value))
    return fields or {"dataset": (next(rows), next(rows))}


def _completed(decides: Any) -> Any:
    """What decided the study, its dataset with the fields that came later, at their defaults.

    A default does what was done before the field existed, or else the data differ.
    """
    dataset = decides.get("dataset") if isinstance(decides, Mapping) else None
    if not dataset:
        return decides
    return {**decides, "dataset": DatasetConfig.from_dict(dataset).to_dict()}


def _other_recipe_error(changes: Mapping[str, Change]) -> RunExistsError:
    field, (was, value) = next(iter(changes.items()))
    made = "without it" if was is None else f"with {shown_value(was, field)}"
    also = ", ".join(list(changes)[1:])
    note = EARLIER_RANKS if field.partition(".")[0] == "dataset" else ""
    return RunExistsError(
        f"the study was started {made}" + (f" (also changed: {also})" if also else ""),
        field=field,
        value="nothing" if value is None else value,
        fix=f"Resume it with what it was started with{note}, take another name, or begin again "
        "with existing='replace'. An earlier study can also be given to warm_start.",
    )


def _flat(values: Any, name: str) -> Table:
    """Nested tables as one, with dotted names; lists stay whole."""
    if not isinstance(values, Mapping):
        return {name: values}
    flat: Table = {}
    for key, value in values.items():
        flat |= _flat(value, f"{name}.{key}".removeprefix("."))
    return flat

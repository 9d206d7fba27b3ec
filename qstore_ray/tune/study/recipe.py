"""What a study is made of, and whether a search may resume it.

The recipe lies in the study's own storage: the space, the objectives, the data's fingerprint, and
the job that trials are made from. To resume a study, all of it must be equal, except where the job
runs and what it keeps.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from qstore_ray.config import Config
from qstore_ray.credentials import without_login
from qstore_ray.data.config import DatasetConfig
from qstore_ray.errors import RunExistsError
from qstore_ray.learn.losses import get_loss
from qstore_ray.train.config import TrainerConfig
from qstore_ray.train.run.same_run import EARLIER, EARLIER_RANKS, with_same_circuit
from qstore_ray.tune.objective import Objective
from qstore_ray.tune.space.fields import SEARCHED
from qstore_ray.tune.space.space import Space

KEY = "qstore"
"""The study's user attribute that holds it."""

_RANKS = "dataset.split.ranks"  # The fingerprint of the data says what these decide.


class StudyRecipe(TypedDict):
    """What a study is made of, JSON-ready.

    Keys:
        space: as a table. objectives: pairs of metric and direction. data: its fingerprint.
        decides: the fields of the job that change a trial's result. job: all of it.
    """

    space: dict[str, Any]
    objectives: list[list[str]]
    data: str
    decides: dict[str, Any]
    job: dict[str, Any]


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


def check_same(earlier: Mapping[str, Any], now: StudyRecipe) -> None:
    """Check that a study made of `earlier` can be resumed with `now`.

    Raises:
        RunExistsError: it was started with another space, job, objective or other data; the error
            names the first field that differs.
    """
    if earlier.get("data") != now["data"]:
        raise _other_recipe_error("dataset", "other data", now["data"][:16], EARLIER_RANKS)
    parts = (
        ("space", "space", now["space"]),
        ("objectives", "objectives", now["objectives"]),
        ("decides", "", now["decides"]),
    )
    for part, name, value in parts:
        before, after = _flat(_completed(earlier.get(part)), name), _flat(value, name)
        before = with_same_circuit(before, after, "study")
        for field in sorted((before.keys() | after.keys()) - {_RANKS}):
            known = before.get(field, EARLIER.get(field))
            if known != after.get(field):
                was = json.dumps(known)
                raise _other_recipe_error(field, was, after.get(field))


def _completed(decides: Any) -> Any:
    """What decided the study, its dataset with the fields that came later, at their defaults.

    A default does what was done before the field existed, or else the data differ.
    """
    dataset = decides.get("dataset") if isinstance(decides, Mapping) else None
    if not dataset:
        return decides
    return {**decides, "dataset": DatasetConfig.from_dict(dataset).to_dict()}


def _other_recipe_error(field: str, was: str, value: Any, note: str = "") -> RunExistsError:
    return RunExistsError(
        f"the study was started with {was}",
        field=field,
        value=value,
        fix=f"Resume it with what it was started with{note}, take another name, or begin again "
        "with existing='replace'. An earlier study can also be given to warm_start.",
    )


def _flat(values: Any, name: str) -> dict[str, Any]:
    """Nested tables as one, with dotted names; lists stay whole."""
    if not isinstance(values, Mapping):
        return {name: values}
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{name}.{key}".removeprefix("."))
    return flat

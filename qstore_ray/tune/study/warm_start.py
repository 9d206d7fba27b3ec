"""Learning from an earlier study: its results become the sampler's first experience.

Copied trials are marked: they are never the best, do not count, and guide only those samplers that
learn. Those whose parameters do not fit the new space are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from qstore_ray.credentials import PublicUrl
from qstore_ray.errors import ConfigError
from qstore_ray.files import real_path
from qstore_ray.storage.address import storage_folder
from qstore_ray.train.run.origin import refresh_study
from qstore_ray.tune.objective import Objective
from qstore_ray.tune.space.fields import Values
from qstore_ray.tune.space.space import Space
from qstore_ray.tune.study.address import for_field, split_reference
from qstore_ray.tune.study.attributes import COPIED
from qstore_ray.tune.study.storage import open_storage, study_names

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial


def trials_to_copy(
    reference: str, space: Space, objectives: Sequence[Objective]
) -> list[FrozenTrial]:
    """The completed trials of an earlier study that fit, marked as copies; nothing is written.

    Args:
        reference: the folder of the earlier study (`runs/digits-tune`), or the URL of a database
            and a name (`sqlite:///studies.db#digits-tune`).

    Raises:
        ConfigError: no such study, other objectives, or none of its trials fits.
    """
    import optuna

    earlier = _open(reference)
    if [direction.name.lower() for direction in earlier.directions] != [
        objective.direction for objective in objectives
    ]:
        raise ConfigError(
            "the earlier study has other objectives",
            field="tune.warm_start",
            value=reference,
            fix="Leave it out, or take its objectives.",
        )
    # One name however it is written.
    plain = str(PublicUrl(reference)).rpartition("@")[2]
    source = plain if "://" in reference else str(real_path(reference))
    done = (optuna.trial.TrialState.COMPLETE,)
    trials = [
        copy
        for trial in earlier.get_trials(deepcopy=False, states=done)
        if COPIED not in trial.user_attrs and (copy := _fitting(space, trial, source)) is not None
    ]
    if not trials:
        raise ConfigError(
            "no completed trial of the earlier study fits this space",
            field="tune.warm_start",
            value=reference,
            fix="Leave it out, or search the same fields in ranges that hold its values.",
        )
    return trials


def add_copies(study: optuna.Study, copies: Iterable[FrozenTrial]) -> None:
    """Add trials of earlier studies, each once however often it is asked."""
    there = {trial.user_attrs.get(COPIED) for trial in study.get_trials(deepcopy=False)}
    for copy in copies:
        if copy.user_attrs[COPIED] not in there:
            study.add_trial(copy)
            there.add(copy.user_attrs[COPIED])


def _open(reference: str) -> optuna.Study:
    import optuna

    whole = reference.whole if isinstance(reference, PublicUrl) else reference
    address, name = split_reference(whole)
    folder = real_path(reference)
    if not address:
        folder = storage_folder(reference)
        refresh_study(folder)
        name = folder.name
        if not (folder / "study.journal").exists():
            raise _no_source_error(reference)
    with for_field("tune.warm_start"):
        if name not in study_names(folder, address or None):
            raise _no_source_error(reference)
        storage = open_storage(folder, address or None, writing=False)
    return optuna.load_study(study_name=name, storage=storage)


def _no_source_error(reference: str) -> ConfigError:
    return ConfigError(
        "there is no such study to learn from",
        field="tune.warm_start",
        value=reference,
        fix="Give the folder of a study, or the URL of a database, '#', and a name.",
    )


def values_of(space: Space, params: Values) -> Values | None:
    """The overrides that parameters in Optuna's storage mean, None where they do not fit."""
    values: dict[str, Any] = {}
    for field in space.order:
        parameter = space.parameters[field]
        if not space.is_there(field, values):
            continue
        if parameter.type == "fixed":
            values[field] = parameter.at(0.0)
        elif field in params:
            values[field] = parameter.restored(params[field])
    return values if space.contains(values) else None


def _fitting(space: Space, trial: FrozenTrial, source: str) -> FrozenTrial | None:
    import optuna

    if values_of(space, trial.params) is None:
        return None
    recorder = optuna.trial.FixedTrial(trial.params)
    space.suggest(recorder)
    return optuna.trial.create_trial(
        params={field: trial.params[field] for field in recorder.distributions},
        distributions=recorder.distributions,
        values=trial.values,
        user_attrs={COPIED: f"{source}#{trial.number}"},
    )

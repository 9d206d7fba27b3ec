"""Whether a study may be opened as asked: what can be refused before anything is started."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qstore_ray.config import Config
from qstore_ray.errors import ConfigError, RunExistsError, under
from qstore_ray.storage.address import origin_of, shown_place, storage_folder
from qstore_ray.train.run.origin import is_run, refresh_study
from qstore_ray.train.run.place import check_place, nearest
from qstore_ray.train.run.run_folder import Existing, check_existing, check_name
from qstore_ray.tune.config import TuneConfig
from qstore_ray.tune.samplers import Learner, get_sampler
from qstore_ray.tune.samplers.base import Design
from qstore_ray.tune.space.space import Space
from qstore_ray.tune.study.address import (
    check_outlives,
    for_field,
    same_database,
)
from qstore_ray.tune.study.ownership import check_owner, recorded_url
from qstore_ray.tune.study.storage import JOURNAL, name_of, open_storage, study_names
from qstore_ray.tune.study.storage_errors import translated


def check_study(
    storage: str | Path,
    name: str,
    config: TuneConfig,
    *,
    job: Config,
    existing: Existing = "error",
) -> Path:
    """Refuse what can be refused before anything is started or written; the study's folder.

    Raises:
        UsageError: an unknown value of `existing`.
        ConfigError, RunExistsError, StudyError: see `open_study`.
    """
    check_existing(existing)
    space = config.space
    space.check(job)
    _check_points(space, config.points, config.trials)
    with under("tune"):
        chosen = get_sampler(config.sampler, config.sampler_options)
        if isinstance(chosen, Learner):
            chosen.check(space, len(config.objectives))
        if isinstance(chosen, Design):
            chosen.points(space, seed=0, limit=config.trials)
    folder = storage_folder(storage) / check_name(name)
    refresh_study(folder)
    if origin_of(folder) is not None and is_run(folder):
        raise _is_run_error(folder)
    _check_folder(folder, config.storage_url, existing)
    return folder


def _check_points(space: Space, points: Sequence[Mapping[str, Any]], trials: int) -> None:
    for place, point in enumerate(points):
        space.check_point(point, field=f"tune.points.{place}")
    if trials < len(points):
        raise ConfigError(
            f"there are {len(points)} points to try first",
            field="tune.trials",
            value=trials,
            fix=f"Set tune.trials = {len(points)} or more.",
        )


def _check_folder(folder: Path, url: str | None, existing: Existing) -> None:
    """Refuse what can be refused before the folder is touched."""
    if not nearest(folder).is_symlink():  # which is named by what follows it
        check_place(folder)
    if (folder / "run.json").exists():
        raise _is_run_error(folder)
    if url is not None:
        with for_field("tune.storage_url"):
            check_outlives(url)
    if existing != "replace":
        _check_same_storage(folder, url)
    elif url is None:
        return  # a damaged journal is deleted too
    with for_field("tune.storage_url"):
        there = study_names(folder, url)
    if existing == "resume" and folder.name not in there:
        raise no_study_error(folder.name)
    if url is not None and folder.name in there:
        _check_owner(folder, url, deletes=existing == "replace")
    if existing == "error" and (there if url is None else folder.name in there):
        raise study_exists_error(folder.name)


def _is_run_error(folder: Path) -> RunExistsError:
    return RunExistsError(
        "there is a run of this name",
        field="name",
        value=shown_place(folder),
        fix="Take another name for the study.",
    )


def _check_same_storage(folder: Path, url: str | None) -> None:
    """Refuse a folder that has the runs of a study that is kept in another place."""
    kept = recorded_url(folder)
    if url is None and kept is not None:
        raise _kept_elsewhere_error(folder, name_of(folder, kept), f"tune.storage_url = {kept!r}")
    if url is not None and (folder / JOURNAL).exists():
        raise _kept_elsewhere_error(folder, str(folder / JOURNAL), "no tune.storage_url")
    if url is not None and kept is not None and not same_database(kept, url):
        raise _kept_elsewhere_error(folder, name_of(folder, kept), f"tune.storage_url = {kept!r}")


def _check_owner(folder: Path, url: str, *, deletes: bool) -> None:
    import optuna

    with translated(name_of(folder, url)):
        storage = open_storage(folder, url, writing=False)
        study = optuna.load_study(study_name=folder.name, storage=storage)
        check_owner(study, folder, url, deletes=deletes)


def _kept_elsewhere_error(folder: Path, where: str, setting: str) -> RunExistsError:
    return RunExistsError(
        f"this folder has the runs of a study that is kept in {where}",
        field="tune.storage_url",
        value=str(folder),
        fix=f"Write {setting} with existing='resume', take another name, or begin again with "
        "existing='replace'.",
    )


def study_exists_error(name: str) -> RunExistsError:
    """The error if a study of this name exists and `existing` is "error"."""
    return RunExistsError(
        "a study of this name exists",
        field="name",
        value=name,
        fix="existing='resume' continues it, existing='replace' deletes it and starts again, "
        "another name leaves it alone.",
    )


def no_study_error(name: str) -> RunExistsError:
    """The error where a study is to be resumed that is not there."""
    return RunExistsError(
        "there is no study of this name to resume",
        field="name",
        value=name,
        fix="Leave out existing='resume'.",
    )

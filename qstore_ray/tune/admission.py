"""Whether a study may be opened as asked: what can be refused before anything is started."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qstore_ray.config import Config
from qstore_ray.errors import ConfigError, RunExistsError
from qstore_ray.train.run_folder import check_name
from qstore_ray.tune.config import TuneConfig
from qstore_ray.tune.designs import Design
from qstore_ray.tune.samplers import Learner, get_sampler
from qstore_ray.tune.space import Space
from qstore_ray.tune.storage import JOURNAL, name_of, open_storage, translated

if TYPE_CHECKING:
    import optuna


def check_study(
    storage: str | Path,
    name: str,
    config: TuneConfig,
    *,
    job: Config,
    resume: bool = False,
    fresh: bool = False,
) -> Path:
    """Refuse what can be refused before anything is started or written; the study's folder.

    Raises:
        ConfigError, RunExistsError, StudyError: see `open_study`.
    """
    space = config.space
    space.check(job)
    _check_points(space, config.points, config.trials)
    chosen = get_sampler(config.sampler, config.sampler_options)
    if isinstance(chosen, Learner):
        chosen.check(space, len(config.objectives))
    if isinstance(chosen, Design):
        chosen.points(space, seed=0, limit=config.trials)
    folder = Path(storage).expanduser().resolve() / check_name(name)
    _check_folder(folder, config.storage_url, resume=resume, fresh=fresh)
    return folder


def _check_points(space: Space, points: Sequence[Mapping[str, Any]], trials: int) -> None:
    for place, point in enumerate(points):
        space.check_point(point, field=f"points.{place}")
    if trials < len(points):
        raise ConfigError(
            f"there are {len(points)} points to try first",
            field="trials",
            value=trials,
            fix=f"Set trials = {len(points)} or more.",
        )


def _check_folder(folder: Path, url: str | None, *, resume: bool, fresh: bool) -> None:
    """Refuse what can be refused before the folder is touched."""
    if (folder / "run.json").exists():
        raise RunExistsError(
            "there is a run of this name",
            field="name",
            value=str(folder),
            fix="Take another name for the study.",
        )
    where = name_of(folder, url)
    there = resume if url else (folder / JOURNAL).exists()
    names = (
        study_names(open_storage(folder, url, writing=False), where) if there and not fresh else []
    )
    if resume and folder.name not in names:
        raise none_to_resume(folder.name)
    if names and not resume:
        raise exists(folder.name)


def study_names(storage: optuna.storages.BaseStorage, where: str) -> list[str]:
    """The studies of a storage, which messages call `where`.

    Raises:
        StudyError: it cannot be read.
    """
    import optuna

    with translated(where):
        return optuna.get_all_study_names(storage)


def exists(name: str) -> RunExistsError:
    """The error where a study is there and neither flag allows to go on."""
    return RunExistsError(
        "a study of this name exists",
        field="name",
        value=name,
        fix="--resume continues it, --fresh deletes it and starts again, another name leaves it.",
    )


def none_to_resume(name: str) -> RunExistsError:
    """The error where a study is to be resumed that is not there."""
    return RunExistsError(
        "there is no study of this name to resume",
        field="name",
        value=name,
        fix="Leave out --resume.",
    )

"""Opens a study, a new one or one to resume. Every step can be killed and repeated.

A study lives in `<storage>/<name>/`, beside the run folders of its trials (`trial-0007`), or, with
a URL, in a database, and only the run folders are there. `check_study` refuses what can be refused
before anything starts.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from qstore_ray.config import Config, fingerprint
from qstore_ray.errors import ConfigError, RunExistsError, StudyError
from qstore_ray.track.base import KEPT
from qstore_ray.train.run.run_folder import LOCK, check_name, check_way, lock_folder
from qstore_ray.tune.config import TuneConfig
from qstore_ray.tune.samplers import Learner, get_sampler
from qstore_ray.tune.samplers.base import Design
from qstore_ray.tune.schedulers import get_scheduler
from qstore_ray.tune.space.space import Space
from qstore_ray.tune.study.address import check_outlives, same_database
from qstore_ray.tune.study.attributes import CHANGED, POINT, REPEATS, ROOT, SAME_AS, root
from qstore_ray.tune.study.ownership import (
    RECORD,
    check_owner,
    claim,
    foreign_study_error,
    make_record,
    recorded_url,
)
from qstore_ray.tune.study.recipe import KEY, StudyRecipe, check_same, public, study_recipe
from qstore_ray.tune.study.repeats import Tried, size_of
from qstore_ray.tune.study.storage import JOURNAL, name_of, open_storage, study_names
from qstore_ray.tune.study.storage_errors import translated
from qstore_ray.tune.study.study import Study, enqueue, fail_interrupted
from qstore_ray.tune.study.warm_start import add_copies, trials_to_copy

if TYPE_CHECKING:
    import optuna
    from optuna.samplers import BaseSampler


def open_study(
    storage: str | Path,
    name: str,
    config: TuneConfig,
    *,
    job: Config,
    data_fingerprint: str = "",
    resume: bool = False,
    fresh: bool = False,
) -> Study:
    """Create the study of a search, or resume the one that exists.

    Everything is checked before anything is written. A resumed study may be given more trials, and
    another sampler.

    Args:
        storage: the folder of run folders.
        config: the search.
        job: what trials are made from, a `JobConfig`.
        data_fingerprint: of the data; it must be equal for a study to be resumed.

    Raises:
        ConfigError: a wrong space, sampler, point or objective, or more points than trials.
        RunExistsError: the study exists and no flag says what to do, it is made of something
            else, another process has it open, or there is none to resume.
        StudyError: its storage is locked, damaged or out of reach.
    """
    folder = check_study(storage, name, config, job=job, resume=resume, fresh=fresh)
    space, url, trials, seed = config.space, config.storage_url, config.trials, config.seed
    chosen = get_sampler(config.sampler, config.sampler_options)
    design = chosen.points(space, seed=seed, limit=trials) if isinstance(chosen, Design) else None
    recipe = study_recipe(space, job, config.objectives, data_fingerprint)
    where = name_of(folder, url)
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    with ExitStack() as until_opened:
        lock = until_opened.enter_context(_locked(folder))
        until_opened.callback(_remove_empty, made)
        with translated(where):
            # Refused before anything is deleted or made.
            copies = [
                copy
                for reference in config.warm_start
                for copy in trials_to_copy(reference, space, config.objectives)
            ]
            _sweep(folder)
            if fresh:
                _delete(folder, name, url)
            study = _load(folder, name, url, recipe, resume=resume)
            add_copies(study, copies)
            _enqueue_points(study, space, config.points)
            _repeat_interrupted(study)
            # A seeded generator must not begin again from the start.
            study.sampler = _optuna_sampler(chosen, seed, len(study.get_trials(deepcopy=False)))
        until_opened.pop_all()
    # The trials of a population change while they train, so no two of them are the same.
    population = get_scheduler(config.scheduler, config.scheduler_options).mutates
    tried = None if population else Tried(space, size_of(space), seed)
    return Study(
        folder, study, space=space, objectives=config.objectives, trials=trials, points=design,
        tried=tried, where=where, lock=lock,
    )  # fmt: skip


def _locked(folder: Path) -> IO[str]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return lock_folder(folder, "study")
    except OSError as exc:
        reason = exc.strerror or type(exc).__name__
        raise StudyError(
            f"cannot write into the study's folder: {reason}",
            field="storage",
            value=str(folder),
            fix="Give a storage folder that you may write to.",
        ) from exc


def _remove_empty(made: Sequence[Path]) -> None:
    """Take back the folders of a study that could not be opened; the lock is still held."""
    if made and {path.name for path in made[0].iterdir()} <= {LOCK, RECORD}:
        for name in (RECORD, LOCK):
            (made[0] / name).unlink(missing_ok=True)
        for folder in made:
            with suppress(OSError):  # somebody else has put something there
                folder.rmdir()


def _sweep(folder: Path) -> None:
    """Delete half-written files of drivers that were killed; trials may still be writing."""
    for pattern in (".*.part", *(f"trial-*/.{name}.*.part" for name in KEPT)):
        for part in folder.glob(pattern):
            part.unlink(missing_ok=True)


def _delete(folder: Path, name: str, url: str | None) -> None:
    """Delete a study and the runs of its trials; what else lies in the folder stays."""
    import optuna

    if url is None:
        (folder / RECORD).unlink(missing_ok=True)
    elif name in study_names(folder, url):
        storage = open_storage(folder, url, writing=True)
        study = optuna.load_study(study_name=name, storage=storage)
        check_owner(study, folder, url, deletes=True)
        optuna.delete_study(study_name=name, storage=storage)
    for file in (JOURNAL, f"{JOURNAL}.lock"):
        (folder / file).unlink(missing_ok=True)
    for run in folder.glob("trial-*"):
        shutil.rmtree(run)


def _load(
    folder: Path, name: str, url: str | None, recipe: StudyRecipe, *, resume: bool
) -> optuna.Study:
    import optuna

    there = name in study_names(folder, url)
    if resume and not there:
        raise no_study_error(name)
    storage = open_storage(folder, url, writing=True)
    if there:
        study = optuna.load_study(study_name=name, storage=storage)
        if url is not None:
            check_owner(study, folder, url)
            claim(study, folder, make_record(folder, url))
    else:
        record = None if url is None else make_record(folder, url)
        names = [direction.upper() for _, direction in recipe["objectives"]]
        directions = [optuna.study.StudyDirection[name] for name in names]
        try:
            study = optuna.create_study(study_name=name, storage=storage, directions=directions)
        except optuna.exceptions.DuplicatedStudyError as exc:  # another driver, this moment
            raise study_exists_error(name) from exc
        if record is not None:
            claim(study, folder, record)
    made_of = study.user_attrs.get(KEY)
    if made_of is None and not study.get_trials(deepcopy=False):  # killed before it was recorded
        study.set_user_attr(KEY, recipe)
        return study
    if made_of is None:
        raise foreign_study_error(name)
    if not resume:
        raise study_exists_error(name)
    check_same(made_of, recipe)
    if public(made_of) != made_of:
        study.set_user_attr(KEY, public(made_of))
    return study


def _enqueue_points(study: optuna.Study, space: Space, points: Sequence[Mapping[str, Any]]) -> None:
    there = {trial.user_attrs.get(POINT) for trial in study.get_trials(deepcopy=False)}
    for point in points:
        mark = fingerprint(dict(point))
        if mark not in there:
            enqueue(study, space, point, {POINT: mark})
            there.add(mark)


def _repeat_interrupted(study: optuna.Study) -> None:
    """Fail the trials that a driver left running, after each was put in the queue again."""
    from optuna.trial import TrialState

    trials = study.get_trials(deepcopy=False)
    repeated = {trial.user_attrs.get(REPEATS) for trial in trials}
    for trial in trials:
        if trial.state != TrialState.RUNNING:
            continue
        if trial.number not in repeated and SAME_AS not in trial.user_attrs:
            first, _ = root(trial.number, trial.user_attrs)
            chosen = {**trial.system_attrs.get("fixed_params", {}), **trial.params}
            marks = {REPEATS: trial.number, ROOT: first}
            if CHANGED in trial.user_attrs:
                marks[CHANGED] = trial.user_attrs[CHANGED]
            study.enqueue_trial(chosen, user_attrs=marks)
        fail_interrupted(study, trial._trial_id)  # noqa: SLF001


def _optuna_sampler(chosen: Design | Learner, seed: int, trials: int) -> BaseSampler:
    from optuna.samplers import RandomSampler

    state = np.random.SeedSequence([seed, trials]).generate_state(1)
    key = int(state[0])
    return chosen.open(key) if isinstance(chosen, Learner) else RandomSampler(key)


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
        UsageError: both flags.
        ConfigError, RunExistsError, StudyError: see `open_study`.
    """
    check_way(resume=resume, fresh=fresh)
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
    if url is not None:
        check_outlives(url)
    if not fresh:
        _check_same_storage(folder, url)
    elif url is None:
        return  # a damaged journal is deleted too
    there = study_names(folder, url)
    if resume and folder.name not in there:
        raise no_study_error(folder.name)
    if url is not None and folder.name in there:
        _check_owner(folder, url, deletes=fresh)
    if not resume and not fresh and (there if url is None else folder.name in there):
        raise study_exists_error(folder.name)


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
        fix=f"Write {setting} with resume=True, take another name, or begin again with fresh=True.",
    )


def study_exists_error(name: str) -> RunExistsError:
    """The error if a study exists and neither flag is given."""
    return RunExistsError(
        "a study of this name exists",
        field="name",
        value=name,
        fix="resume=True continues it, fresh=True deletes it and starts again, another name "
        "leaves it alone.",
    )


def no_study_error(name: str) -> RunExistsError:
    """The error if there is no study to resume."""
    return RunExistsError(
        "there is no study of this name to resume",
        field="name",
        value=name,
        fix="Leave out resume=True.",
    )

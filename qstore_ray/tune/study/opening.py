"""Creating or resuming a study; every step can be killed and repeated.

A study lives in `<storage>/<name>/`, beside the run folders of its trials (`trial-0007`). With a
URL it lives in a database, and the folder has only the run folders.

In an object store the folder is a copy, the stage. The journal is uploaded whenever it has grown,
before the step that wrote it returns; each trial uploads its own run, as any run does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from qstore_ray.backends.paid import new_identity
from qstore_ray.config import Config, fingerprint
from qstore_ray.errors import StudyError
from qstore_ray.train.run.lock import lock_folder
from qstore_ray.train.run.origin import RunOrigin, delete_trials, open_origin
from qstore_ray.train.run.place import make_folder
from qstore_ray.train.run.run_folder import Existing
from qstore_ray.tune.config import TuneConfig
from qstore_ray.tune.samplers import Learner, get_sampler
from qstore_ray.tune.samplers.base import Design
from qstore_ray.tune.schedulers import get_scheduler
from qstore_ray.tune.space.space import Space
from qstore_ray.tune.study.admission import check_study, no_study_error, study_exists_error
from qstore_ray.tune.study.attributes import (
    CHANGED,
    POINT,
    REPEATS,
    ROOT,
    RUN_ID,
    SAME_AS,
    Marks,
    enqueue,
    fail_interrupted,
    root,
)
from qstore_ray.tune.study.deletion import delete_study, remove_empty, sweep_folder
from qstore_ray.tune.study.ownership import (
    check_owner,
    claim,
    foreign_study_error,
    make_record,
)
from qstore_ray.tune.study.recipe import KEY, StudyRecipe, check_same, public, study_recipe
from qstore_ray.tune.study.repeats import Tried, size_of
from qstore_ray.tune.study.storage import name_of, open_storage, study_names
from qstore_ray.tune.study.storage_errors import translated
from qstore_ray.tune.study.study import Study
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
    existing: Existing = "error",
) -> Study:
    """Create the study of a search, or resume an existing one.

    Everything is checked before anything is written. A resumed study may be given more trials, and
    another sampler.

    Args:
        storage: the folder of run folders.
        config: the search.
        job: what trials are made from, a `JobConfig`.
        data_fingerprint: of the data; it must be equal for a study to be resumed.
        existing: what to do with a study of this name.

    Raises:
        ConfigError: a wrong space, sampler, point or objective, or more points than trials.
        RunExistsError: the study exists and `existing` is "error", it is made of something
            else, another process has it open, or no study exists to resume.
        StudyError: its storage is locked, damaged or out of reach.
        StorageError: the object store cannot be used.
    """
    folder = check_study(storage, name, config, job=job, existing=existing)
    space, url, trials, seed = config.space, config.storage_url, config.trials, config.seed
    chosen = get_sampler(config.sampler, config.sampler_options)
    design = chosen.points(space, seed=seed, limit=trials) if isinstance(chosen, Design) else None
    recipe = study_recipe(space, job, config.objectives, data_fingerprint)
    where = name_of(folder, url)
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    with ExitStack() as until_opened:
        lock = until_opened.enter_context(_locked(folder))
        until_opened.callback(remove_empty, made)
        origin = _leased(folder, until_opened)
        with translated(where):
            # Refused before anything is deleted or made.
            copies = [
                copy
                for reference in config.warm_start
                for copy in trials_to_copy(reference, space, config.objectives)
            ]
            sweep_folder(folder)
            if existing == "replace":
                delete_trials(folder)
                delete_study(folder, name, url)
            study = _load(folder, name, url, recipe, resume=existing == "resume")
            if RUN_ID not in study.user_attrs:
                study.set_user_attr(RUN_ID, new_identity(name).run)
            add_copies(study, copies)
            _enqueue_points(study, space, config.points)
            _repeat_interrupted(study)
            # Where it left off, a seeded generator must not begin from the start again.
            study.sampler = _optuna_sampler(chosen, seed, len(study.get_trials(deepcopy=False)))
        if origin is not None:
            origin.upload()
        until_opened.pop_all()
    # The trials of a population change while they train, so no two of them are the same.
    population = get_scheduler(config.scheduler, config.scheduler_options).mutates
    tried = None if population else Tried(space, size_of(space), seed)
    return Study(
        folder, study, space=space, objectives=config.objectives, trials=trials, points=design,
        tried=tried, where=where, lock=lock, origin=origin,
    )  # fmt: skip


def _locked(folder: Path) -> IO[str]:
    try:
        make_folder(folder)
        return lock_folder(folder, "study")
    except OSError as exc:
        reason = exc.strerror or type(exc).__name__
        raise StudyError(
            f"cannot write into the study's folder: {reason}",
            field="storage",
            value=str(folder),
            fix="Give a storage folder that you may write to.",
        ) from exc


def _leased(folder: Path, until_opened: ExitStack) -> RunOrigin | None:
    origin = open_origin(folder, "study")
    if origin is not None:
        until_opened.callback(origin.close)
    return origin


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
    """Fail the trials that a driver left running, after each is in the queue once more."""
    from optuna.trial import TrialState

    trials = study.get_trials(deepcopy=False)
    repeated = {trial.user_attrs.get(REPEATS) for trial in trials}
    for trial in trials:
        if trial.state != TrialState.RUNNING:
            continue
        if trial.number not in repeated and SAME_AS not in trial.user_attrs:
            first, _ = root(trial)
            chosen = {**trial.system_attrs.get("fixed_params", {}), **trial.params}
            marks: Marks = {REPEATS: trial.number, ROOT: first}
            if CHANGED in trial.user_attrs:
                marks[CHANGED] = trial.user_attrs[CHANGED]
            study.enqueue_trial(chosen, user_attrs=dict(marks))
        fail_interrupted(study, trial._trial_id)  # noqa: SLF001


def _optuna_sampler(chosen: Design | Learner, seed: int, trials: int) -> BaseSampler:
    from optuna.samplers import RandomSampler

    state = np.random.SeedSequence([seed, trials]).generate_state(1)
    key = int(state[0])
    return chosen.open(key) if isinstance(chosen, Learner) else RandomSampler(key)

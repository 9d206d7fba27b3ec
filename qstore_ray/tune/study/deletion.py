"""Deleting a study, and what killed or failed openings of one have left."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from qstore_ray.errors import StudyError
from qstore_ray.track.base import KEPT
from qstore_ray.train.run.lock import LOCK
from qstore_ray.tune.study.ownership import (
    RECORD,
    check_owner,
    foreign_study_error,
)
from qstore_ray.tune.study.recipe import KEY
from qstore_ray.tune.study.storage import JOURNAL, open_storage, study_names


def remove_empty(made: Sequence[Path]) -> None:
    """Take back the folders of a study that could not be opened; the lock is still held."""
    if made and {path.name for path in made[0].iterdir()} <= {LOCK, RECORD}:
        for name in (RECORD, LOCK):
            (made[0] / name).unlink(missing_ok=True)
        for folder in made:
            with suppress(OSError):  # somebody else has put something there
                folder.rmdir()


def sweep_folder(folder: Path) -> None:
    """Delete what drivers that were killed had half written; trials may be writing yet."""
    for pattern in (".*.part", *(f"trial-*/.{name}.*.part" for name in KEPT)):
        for part in folder.glob(pattern):
            part.unlink(missing_ok=True)


def delete_study(folder: Path, name: str, url: str | None) -> None:
    """Delete a study and the runs of its trials; what else lies in the folder stays."""
    import optuna

    if url is None:
        _check_ours(folder)
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


def _check_ours(folder: Path) -> None:
    """Refuse to delete a journal with studies of other programs.

    A damaged one says nothing of its studies, and is deleted as was asked.

    Raises:
        RunExistsError: it has one.
    """
    import optuna

    try:
        names = study_names(folder, None)
    except StudyError:
        return
    for name in names:
        storage = open_storage(folder, None, writing=False)
        study = optuna.load_study(study_name=name, storage=storage)
        if KEY not in study.user_attrs and study.get_trials(deepcopy=False):
            raise foreign_study_error(name)

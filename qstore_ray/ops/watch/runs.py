"""The run folders below a folder of runs, those of trials too."""

from __future__ import annotations

from pathlib import Path

from qstore_ray.files import is_folder
from qstore_ray.storage.address import storage_folder
from qstore_ray.train.run.find import run_folders, study_folders


def runs_and_trials(storage: str) -> list[Path]:
    """The folders of runs, and of the trials of searches, by name.

    Of searches in an object store, the trials that have a copy on this machine.

    Raises:
        UsageError: it is no folder, or may not be read.
        StorageError: the object store cannot be used.
    """
    runs = run_folders(storage)
    for study in study_folders(storage):
        runs += sorted(path for path in study.glob("trial-*") if is_folder(path))
    return runs


def run_name(path: Path, storage: str) -> str:
    """The name of a run in its alerts: its path below the folder of the runs."""
    return path.relative_to(storage_folder(storage)).as_posix()

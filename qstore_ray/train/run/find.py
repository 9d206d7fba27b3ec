"""Runs and studies in a storage folder, by what a user types."""

from __future__ import annotations

import os
from pathlib import Path

from qstore_ray.errors import UsageError, unknown_name_error
from qstore_ray.files import expanded, is_folder, is_there, real_path
from qstore_ray.storage.address import StorageAddress, address_of, storage_folder
from qstore_ray.storage.contents import METRICS, RECORD, STUDY, STUDY_RECORD, is_study
from qstore_ray.track.base import RUN_INFO_FILE
from qstore_ray.train.run.lock import is_held
from qstore_ray.train.run.origin import refresh, runs_at

_OF_A_LIST = (RECORD, "config.toml", METRICS, STUDY, STUDY_RECORD, RUN_INFO_FILE)
_SIGNS_OF_A_RUN = ("run.json", "config.toml", "metrics.jsonl", "checkpoints")


def find_run(run: str, storage: str) -> Path:
    """The folder of a run, by its path, its address or its name under `storage`.

    Of a run in an object store it is a copy on this machine, as new as the objects.

    Raises:
        StorageError: the object store cannot be used.
        UsageError: no such run exists.
    """
    address = address_of(run, "run")
    if address is not None:
        return _fetched(address, run)
    for path in (expanded(run), storage_folder(storage) / run):
        if run and len(Path(run).parts) == 1:
            refresh(path)
        if run and _is_run(path):
            return real_path(path)
    if Path(run).suffix == ".toml":
        raise UsageError(
            "this is a job file, not a run",
            field="run",
            value=run,
            fix="Train the job first, then give the run's name or folder, such as runs/digits.",
        )
    if len(Path(run).parts) > 1:
        raise UsageError(
            "there is no run folder here",
            field="run",
            value=run,
            fix="Give a run folder such as runs/digits, or a run's name and its storage folder.",
        )
    names = [path.name for path in run_folders(storage)]
    if not names:
        raise UsageError(
            f"there are no runs in {storage}",
            field="run",
            value=run,
            fix="Train a job first, or give the storage folder of its run.",
        )
    raise unknown_name_error("run", run, names, field="run")


def run_folders(storage: str) -> list[Path]:
    """The run folders in `storage`, by name; none if it does not exist.

    Raises:
        UsageError: it is no folder, or may not be read.
    """
    return [path for path in _listed(storage) if _is_run(path) and not is_study(path)]


def closed_folders(storage: str) -> list[Path]:
    """The folders in `storage` that this user may not look into; they may hold runs of others.

    Raises:
        UsageError: it is no folder, or may not be read.
    """
    if address_of(storage) is not None:
        return []
    return [p for p in _children(storage) if is_folder(p) and not _is_open(p)]


def study_folders(storage: str) -> list[Path]:
    """The folders of searches in `storage`, by name; the runs of their trials are inside.

    Raises:
        UsageError: it is no folder, or may not be read.
    """
    return [path for path in _listed(storage) if is_study(path)]


def _fetched(address: StorageAddress, run: str) -> Path:
    refresh(address.stage)
    if _is_run(address.stage):
        return address.stage
    raise UsageError(
        "there is no run here",
        field="run",
        value=run,
        fix="Give the address of a run, such as s3://bucket/runs/digits.",
    )


def _listed(storage: str) -> list[Path]:
    """The folders in `storage`; of an object store copies, with what a list needs."""
    address = address_of(storage)
    if address is None:
        return _children(storage)
    paths = [(address / name).stage for name in runs_at(address)]
    for path in paths:
        refresh(path, _OF_A_LIST)
    return paths


def _children(storage: str) -> list[Path]:
    try:
        return sorted(storage_folder(storage).iterdir())
    except FileNotFoundError:
        return []
    except OSError as exc:
        reason = exc.strerror or type(exc).__name__
        raise UsageError(
            f"cannot list the runs: {reason}",
            field="storage",
            value=storage,
            fix="Give the folder that holds the run folders.",
        ) from exc


def _is_run(path: Path) -> bool:
    """An attempt for which the disk had no room leaves nothing but its lock, which it gave up."""
    if any(is_there(path / name) for name in _SIGNS_OF_A_RUN):
        return True
    return _is_open(path) and is_held(path)


def _is_open(path: Path) -> bool:
    """Whether it is a folder that this user may look into; what is in others is nobody's run."""
    return is_folder(path) and os.access(path, os.X_OK)

"""The record of a run, emptying its folder, and the error if it cannot be written."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, cast

from qstore_ray.errors import RunError
from qstore_ray.files import parsed_json, unwritable_fix
from qstore_ray.train.run.lock import LOCK
from qstore_ray.train.run.origin import ATTEMPT

if TYPE_CHECKING:
    from qstore_ray.train.run.same_run import RunDescription

RECORD = "run.json"
"""The file that says that a folder is a run's."""


def empty_run_folder(path: Path) -> None:
    """Delete a run; its record last, because without it the rest would have no owner."""
    for child in sorted(path.iterdir(), key=lambda child: child.name == RECORD):
        if child.is_dir():
            shutil.rmtree(child)
        elif child.name not in (LOCK, ATTEMPT):
            child.unlink()


def unwritable_error(path: Path, exc: OSError) -> RunError:
    """The error for a run folder that cannot be written to."""
    return RunError(
        f"cannot write into the run folder: {exc.strerror or type(exc).__name__}",
        field="storage",
        value=str(path),
        fix=unwritable_fix(exc),
    )


def read_run_record(path: Path) -> RunDescription:
    """The `run.json` of a run folder.

    Raises:
        RunError: it is missing or damaged.
    """
    try:
        record = parsed_json((path / RECORD).read_bytes())
    except (OSError, ValueError) as exc:
        raise _no_run_error(path, str(exc)) from exc
    if not isinstance(record, dict) or "generation" not in record:
        raise _no_run_error(path, "run.json is not the record of a run")
    return cast("RunDescription", record)


def _no_run_error(path: Path, reason: str) -> RunError:
    return RunError(
        f"this is no run folder: {reason}",
        field="run",
        value=str(path),
        fix="Give the folder of a run, such as runs/digits.",
    )

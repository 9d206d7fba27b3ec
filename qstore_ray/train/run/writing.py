"""Emptying the folder of a run, and the error if it cannot be written."""

from __future__ import annotations

import shutil
from pathlib import Path

from qstore_ray.errors import RunError
from qstore_ray.files import unwritable_fix
from qstore_ray.train.run.lock import LOCK
from qstore_ray.train.run.origin import ATTEMPT

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

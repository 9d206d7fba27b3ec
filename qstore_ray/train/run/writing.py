"""Making and emptying the folder of a run or a study, and the error if it cannot be written."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from qstore_ray.errors import ConfigError, RunError
from qstore_ray.files import unwritable_fix
from qstore_ray.train.run.lock import LOCK

RECORD = "run.json"
"""The file that says that a folder is a run's."""


def make_folder(path: Path) -> None:
    """Create the folder of a run or a study, with its parents.

    Raises:
        ConfigError: a file is in the way.
        OSError: the folder cannot be created for another reason.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (NotADirectoryError, FileExistsError) as exc:
        file = next((p for p in (path, *path.parents) if os.path.lexists(p)), path)
        kind = "file" if file.exists() else "symbolic link that leads to no folder"
        raise ConfigError(
            f"this is a {kind}, and a folder is needed here",
            field="name" if file == path else "storage",
            value=str(file),
            fix="Take another name." if file == path else "Give a folder as storage.",
        ) from exc


def empty_run_folder(path: Path) -> None:
    """Delete a run; its record last, because without it the rest would have no owner."""
    for child in sorted(path.iterdir(), key=lambda child: child.name == RECORD):
        if child.is_dir():
            shutil.rmtree(child)
        elif child.name != LOCK:
            child.unlink()


def unwritable_error(path: Path, exc: OSError) -> RunError:
    """The error for a run folder that cannot be written to."""
    return RunError(
        f"cannot write into the run folder: {exc.strerror or type(exc).__name__}",
        field="storage",
        value=str(path),
        fix=unwritable_fix(exc),
    )

"""The place where the folder of a run or a study is made."""

from __future__ import annotations

import os
from pathlib import Path

from qstore_ray.errors import ConfigError


def make_folder(path: Path) -> None:
    """Create the folder of a run or a study, with its parents.

    Raises:
        ConfigError: a file is in the way.
        OSError: the folder cannot be created for another reason.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (NotADirectoryError, FileExistsError):
        check_place(path)
        raise


def check_place(path: Path) -> None:
    """Raise ConfigError if a file is where a folder would be made; nothing is written."""
    found = nearest(path)
    if found.is_dir() or not os.path.lexists(found):
        return
    kind = "file" if found.exists() else "symbolic link that leads to no folder"
    raise ConfigError(
        f"this is a {kind}, and a folder is needed here",
        field="name" if found == path else "storage",
        value=str(found),
        fix="Take another name." if found == path else "Give a folder as storage.",
    )


def nearest(path: Path) -> Path:
    """The first of a path and its parents that exists, a link that leads nowhere too."""
    return next((p for p in (path, *path.parents) if os.path.lexists(p)), path)

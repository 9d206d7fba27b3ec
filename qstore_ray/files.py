"""Paths that a user types, and files that a crash leaves complete or absent."""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from qstore_ray.errors import UsageError

_FILE_ADDRESS: Final = re.compile(r"file:(?:/(?!/)|//(?:localhost)?/+)", re.IGNORECASE)


def expanded(path: str | Path) -> Path:
    """The path with `~` replaced by the home folder; an unknown user's `~name` is left in it.

    Of a file:// address its path; the first part of `file://data/x` would be a machine, so that
    is left as it is.

    `Path.expanduser` raises RuntimeError for an unknown user, and for a user without a home.
    """
    text = os.fspath(path)
    if found := _FILE_ADDRESS.match(text):
        return Path("/" + unquote(text[found.end() :]))
    return Path(os.path.expanduser(text))  # noqa: PTH111 - see above


def real_path(path: str | Path) -> Path:
    """The absolute path behind `~` and symbolic links; a link that leads to itself is left in it.

    `Path.resolve` raises RuntimeError for such a link in Python 3.11 and 3.12. Here, whoever opens
    the path gets the OSError, as for every other path that cannot be used.
    """
    return Path(os.path.realpath(expanded(path)))


def cache_root() -> Path:
    """The user's folder for what can be made again: $XDG_CACHE_HOME, by default ~/.cache."""
    named = os.environ.get("XDG_CACHE_HOME", "")
    return real_path(named if Path(named).is_absolute() else "~/.cache")


def is_there(path: Path) -> bool:
    """Whether something is at the path; False for one that the system does not take, and below a
    folder that this user may not look into.

    `Path.exists` raises OSError for a name of more than 255 bytes, and until Python 3.14 also for
    a folder of another user, such as `lost+found` of a disk that is mounted at the runs.
    """
    return os.path.exists(path)  # noqa: PTH110 - see above


def is_folder(path: Path) -> bool:
    """Whether a folder is at the path; see `is_there`."""
    return os.path.isdir(path)  # noqa: PTH112 - see above


def is_file(path: Path) -> bool:
    """Whether a file is at the path; see `is_there`."""
    return os.path.isfile(path)  # noqa: PTH113 - see above


def parsed_json(text: str | bytes) -> Any:
    """The value of a JSON text that anybody may have written.

    `json.loads` raises RecursionError for one that is nested deeper than Python can go.

    Raises:
        ValueError: no JSON, or nested too deep.
    """
    try:
        return json.loads(text)
    except RecursionError as exc:
        raise ValueError("nested too deep") from exc


def sweep_parts(folder: Path, *, spare: Collection[str] = ()) -> None:
    """Delete partial files that killed writers left below `folder`; no other writer may be active.

    Args:
        spare: names of files that another process may be writing.

    Raises:
        OSError: as the system says.
    """
    for part in folder.rglob(".*.part"):
        if not part.name.startswith(tuple(f".{name}." for name in spare)):
            part.unlink(missing_ok=True)


_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_REFUSED: Final = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})


def is_full(exc: OSError) -> bool:
    """True if a file could not be written because the disk or the user's quota is full."""
    return exc.errno in _FULL


def unwritable_fix(exc: OSError, then: str = "") -> str:
    """What to do about a file that could not be written: make room, or take another folder.

    Args:
        then: what to do after that.
    """
    after = f", then {then}." if then else "."
    if is_full(exc):
        return f"Free some space{after}"
    if exc.errno in _REFUSED:
        return f"Give a folder that you may write to, or make this one writable{after}"
    return f"Check the disk, or give another folder{after}"


def write_durably(path: Path, data: bytes) -> None:
    """Write a file atomically and durably: after a crash it is complete or absent.

    Raises:
        OSError: as the system says.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise


def write_new(path: Path, text: str, *, field: str, fix: str) -> None:
    """Write a new text file; if that fails, no file is left.

    Args:
        field: of the error. fix: what to do if the file cannot be written.

    Raises:
        UsageError: something is at the path, or the file cannot be written.
    """
    try:
        path.open("xb").close()
        try:
            write_durably(path, text.encode())
        except OSError:
            path.unlink(missing_ok=True)
            raise
    except OSError as exc:
        raise UsageError(
            f"cannot write the file: {exc.strerror or type(exc).__name__}",
            field=field,
            value=str(path),
            fix=fix,
        ) from exc

"""Which files a path, a folder, a pattern or a URI means."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from qstore_ray.data.files.files import absolute, file_system, is_remote, reading
from qstore_ray.errors import ConfigError, DataError
from qstore_ray.files import expanded

_MOST_NAMES = 10_000
_WILD = re.compile(r"[*?\[]")


class Listing(NamedTuple):
    """The folder that a path means ("" where it is no folder), the files there, and hidden ones.

    Both are sorted; a hidden folder hides all its content.
    """

    root: str
    files: tuple[str, ...]
    hidden: tuple[str, ...] = ()


def find_files(path: str) -> Listing:
    """The files that `path` means.

    Files and folders whose names begin with a dot or an underscore are hidden and no data, as in
    Spark and Hive. A pattern (`data/*.csv`) selects the files that match.

    Raises:
        ConfigError: not a pattern.
        DataError: no such file exists.
    """
    where = absolute(path)
    if is_remote(where):
        return _find_remote(where)
    if Path(where).is_dir():
        hidden: list[str] = []
        files = tuple(sorted(_walk(where, hidden)))
        if not files:
            raise DataError("the folder holds no files", field="params.path", value=where)
        return Listing(where, files, tuple(sorted(hidden)))
    if Path(where).exists():
        return Listing("", (where,))
    if not _WILD.search(where):
        raise DataError(
            "no such file", field="params.path", value=where, fix=_what_to_check(path, where)
        )
    anchor = Path(where).anchor
    try:
        matches = [str(match) for match in Path(anchor).glob(where[len(anchor) :])]
    except ValueError as exc:
        raise ConfigError(f"not a pattern: {exc}", field="params.path", value=where) from exc
    kept = sorted(match for match in matches if Path(match).is_file())
    return Listing("", _matched(where, kept, _what_to_check(path, where)))


def _what_to_check(path: str, where: str) -> str:
    """What may be wrong with a `path` that is not there: the name, or the working folder."""
    folder = Path(where).parent
    names = (
        [entry.name for entry in islice(folder.iterdir(), _MOST_NAMES)] if folder.is_dir() else []
    )
    near = difflib.get_close_matches(Path(where).name, names, n=1)
    hint = f"Did you mean {str(folder / near[0])!r}? " if near else ""
    if expanded(path).is_absolute() or path.startswith("file://"):
        return f"{hint}Check the path."
    return f"{hint}Check the path {path!r}; it begins at the working folder."


def _walk(folder: str, hidden: list[str]) -> Iterator[str]:
    """Files below `folder`, those that are no data into `hidden`; a link is followed once."""
    seen: set[str] = set()
    for at, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(at)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        hidden += (str(Path(at, name)) for name in (*folders, *names) if not _is_data(name))
        folders[:] = [name for name in folders if _is_data(name)]
        yield from (str(Path(at, name)) for name in names if _is_data(name))


def _is_data(name: str) -> bool:
    return not name.startswith((".", "_"))


def _matched(where: str, matches: list[str], fix: str = "Check the path.") -> tuple[str, ...]:
    if not matches:
        raise DataError("no file matches the pattern", field="params.path", value=where, fix=fix)
    return tuple(matches)


def _find_remote(where: str) -> Listing:
    system, name = file_system(where)
    with reading(where):
        if _WILD.search(name):
            found = sorted(str(match) for match in system.glob(name) if system.isfile(match))
            return Listing("", _matched(where, [_uri(where, match) for match in found]))
        if not system.isdir(name):
            return Listing("", (where,))
        root = name.rstrip("/")
        below = sorted(str(file) for file in system.find(name))
    files = [file for file in below if all(map(_is_data, file[len(root) :].strip("/").split("/")))]
    if not files:
        raise DataError("the folder holds no files", field="params.path", value=where)
    hidden = sorted(set(below) - set(files))
    return Listing(
        _uri(where, root),
        tuple(_uri(where, file) for file in files),
        tuple(_uri(where, file) for file in hidden),
    )


def _uri(where: str, name: str) -> str:
    scheme = where.partition("://")[0]
    return f"{scheme}://{name if scheme == 'memory' else name.lstrip('/')}"

"""The files that the names in a file of labels mean."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping, Sequence

from qstore_ray.data.files.files import is_remote
from qstore_ray.errors import DataError

_SHOWN = 3


class Places:
    """Finds the file that a name of the labels file means, where it can only be one.

    A name may begin with the folder itself, leave out the suffix (`0001`) or the folders, or be in
    another case (`.jpg` for `.JPG`).
    """

    def __init__(self, root: str, home: Mapping[str, object]) -> None:
        self._home = home
        self._above = f"{posixpath.basename(root.rstrip('/'))}/"
        self._by: list[dict[str, list[str]]] = [{} for _ in _SHORTER]
        for inside in home:
            for known, shorter in zip(self._by, _SHORTER, strict=True):
                known.setdefault(shorter(inside), []).append(inside)

    def of(self, name: str) -> str:
        """The file's path below the folder; the name itself where it means none, or several."""
        for tried in (name, name.removeprefix(self._above)):
            if tried in self._home:
                return tried
            for known in self._by:
                for key in (tried, tried.lower()):
                    if len(known.get(key, ())) == 1:
                        return known[key][0]
        return name


def _stem(inside: str) -> str:
    return posixpath.splitext(inside)[0]


_SHORTER: tuple[Callable[[str], str], ...] = (
    _stem,
    str.lower,
    posixpath.basename,
    lambda inside: _stem(posixpath.basename(inside)),
)


def check_listed(
    rows: Sequence[tuple[int, str, str]],
    names: Sequence[str],
    home: Mapping[str, object],
    where: str,
) -> None:
    """Raise `DataError` unless the rows list every image once, and nothing else."""
    seen: set[str] = set()
    strange, twice = [], []
    for (line, name, _), inside in zip(rows, names, strict=True):
        if inside not in home:
            strange.append((line, name))
        elif inside in seen:
            twice.append((line, name))
        seen.add(inside)
    for wrong, one, many in (
        (strange, "no such image in the folder", "lines name no image in the folder"),
        (twice, "the image is listed twice", "lines list an image again"),
    ):
        if wrong:
            shown = ", ".join(f"{name} (line {line})" for line, name in wrong[:_SHOWN])
            raise DataError(
                one if len(wrong) == 1 else f"{len(wrong)} {many}: {shown}",
                field=f"{where}, line {wrong[0][0]}",
                value=wrong[0][1],
                fix="Remove the line." if len(wrong) == 1 else "Remove these lines.",
            )
    if missing := sorted(set(home) - seen):
        raise DataError(
            f"{len(missing)} images have no label: {', '.join(missing[:_SHOWN])}",
            field=where,
            value=missing[0],
            fix="Add a line for each, or move them away.",
        )


def inside_folder(name: str, where: str) -> str:
    """The name without `./`, if it stays in the folder.

    Raises:
        DataError: it leads out of the folder.
    """
    plain = posixpath.normpath(name)
    outside = plain.startswith(("/", "..", "~")) or "\\" in name or "\0" in name or is_remote(name)
    if outside or ".." in name.split("/"):
        raise DataError(
            "a filename that leads out of the folder",
            field=where,
            value=name,
            fix="Write names relative to params.path, without .. or a leading slash.",
        )
    return plain

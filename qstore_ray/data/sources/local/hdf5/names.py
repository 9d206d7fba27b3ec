"""What an HDF5 file holds, by path: arrays in any group, and lists kept as groups 0, 1, 2, ….

PennyLane's data sets keep a list as a group whose members are called 0, 1, 2, … and are of one
shape; such a group is one array here. Only names and the file's own links are looked at: what a
link to elsewhere is called is listed too, so that it can be refused by name.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from qstore_ray.errors import DataError

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray

_MOST = 10_000
_PANDAS = "pandas_type"


class ListArray:
    """A group of members 0 to N−1 of one shape, as an array (N, …).

    Raises:
        DataError: a member that is no plain array of numbers, or of another shape than the first.
    """

    chunks = None

    def __init__(self, group: Any, path: str) -> None:
        self.name = str(group.name)
        self._group, self._path = group, path
        first = self._member(0)
        self.dtype = first.dtype
        self.shape = (len(group), *first.shape)

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getitem__(self, rows: slice) -> AnyArray:
        members = []
        for number in range(*rows.indices(len(self))):
            member = self._member(number)
            if member.shape != self.shape[1:]:
                raise DataError(
                    f"the member {number} has the shape {member.shape}, the first {self.shape[1:]}",
                    field=self._path,
                    value=self.name,
                )
            members.append(member[()])
        return np.stack(members) if members else np.empty((0, *self.shape[1:]), self.dtype)

    def _member(self, number: int) -> Any:
        import h5py

        link = self._group.get(str(number), getlink=True)
        member = self._group[str(number)] if isinstance(link, h5py.HardLink) else None
        plain = isinstance(member, h5py.Dataset) and not (member.is_virtual or member.external)
        if not plain or member is None or member.dtype.kind not in "biuf":
            raise DataError(
                f"the member {number} of the list is no plain array of numbers",
                field=self._path,
                value=self.name,
                fix="Copy the numbers into a plain dataset of this file.",
            )
        return member


def is_list(at: Any) -> bool:
    """Whether a group is a list: its members are called 0, 1, 2, …, and the first is an array."""
    import h5py

    if not isinstance(at, h5py.Group) or not len(at):
        return False
    names = set(at)
    if not all(str(number) in names for number in range(len(names))):
        return False
    own = isinstance(at.get("0", getlink=True), h5py.HardLink)
    return own and isinstance(at["0"], h5py.Dataset)


def array_names(file: Any, path: str) -> tuple[str, ...]:
    """Paths of the arrays, lists, links and empty groups in the file.

    Raises:
        DataError: a table that pandas wrote, or more names than anybody could have meant.
    """
    names: list[str] = []
    for name in _walk(file, "", path):
        names.append(name)
        if len(names) > _MOST:
            raise DataError(
                f"more than {_MOST:,} arrays",
                field=path,
                fix="Name the two that are meant in params.x and params.y.",
            )
    return tuple(names)


def _walk(group: Any, above: str, path: str) -> Iterator[str]:
    import h5py

    if _PANDAS in group.attrs:  # only its existence is checked; its value is not read
        raise DataError(
            "a table that pandas wrote, whose names of columns are pickled, and pickles run code "
            "when they are opened",
            field=path,
            value=above.rstrip("/") or "/",
            fix="Save the table as Parquet or CSV.",
        )
    for name in group:
        own = isinstance(group.get(name, getlink=True), h5py.HardLink)
        at = group[name] if own else None
        table = isinstance(at, h5py.Group) and _PANDAS in at.attrs
        if table or (isinstance(at, h5py.Group) and len(at) and not is_list(at)):
            yield from _walk(at, f"{above}{name}/", path)
        else:
            yield f"{above}{name}"

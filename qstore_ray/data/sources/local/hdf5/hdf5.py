"""HDF5 files with named arrays, read in ranges of rows (h5py).

An HDF5 file can point at other files (external and virtual datasets, external links) and declare
any shape without storing a byte. So only plain arrays are read: links are refused, and what an
array declares is compared with what is stored before any of it is read. Labels that are text of
variable length, as h5py writes lists of `str`, are read by another process (`hdf5_text.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from qstore_ray.data.sources.base import ColumnsConfig
from qstore_ray.data.sources.local.arrays import NAMES, official_home, parts_said
from qstore_ray.data.sources.local.base import (
    Chunk,
    Contents,
    Files,
    Format,
    features_name,
    joined,
    named_parts,
    row_ranges,
)
from qstore_ray.data.sources.local.hdf5.names import array_names
from qstore_ray.data.sources.local.hdf5.opening import (
    array_of,
    is_variable,
    opened_hdf5,
    refuse_array,
)
from qstore_ray.data.sources.local.hdf5.text import read_texts
from qstore_ray.data.sources.parts import Split
from qstore_ray.errors import DataError

if TYPE_CHECKING:
    from qstore_ray.data.inputs.signature import Signature
    from qstore_ray.data.sources.local.params import LocalParams
    from qstore_ray.types import AnyArray


@dataclass(frozen=True)
class Hdf5Chunk:
    """Rows `start` to before `stop` of two arrays in one file."""

    path: str
    x: str
    y: str
    start: int
    stop: int
    max_bytes: int
    max_ratio: int

    @property
    def n_rows(self) -> int:
        """Rows N."""
        return self.stop - self.start

    def read(self) -> tuple[AnyArray, AnyArray]:
        """Features and labels of the rows."""
        with opened_hdf5(self.path) as file:
            x, y = (self._rows(array_of(file, self.path, name, self)) for name in (self.x, self.y))
        return x, y

    def _rows(self, array: Any) -> AnyArray:
        if len(array) < self.stop:
            raise DataError(f"there is no row {self.stop - 1}", field=self.path, value=array.name)
        if is_variable(array):
            return read_texts(self.path, array.name, self.start, self.stop, self.max_bytes)
        text = array.dtype.kind == "S"
        rows: AnyArray = (array.asstr() if text else array)[self.start : self.stop]
        return rows.astype(str) if text else rows


class Hdf5Format(Format):
    """HDF5 files, each with features and labels, and maybe official parts."""

    takes: ClassVar[frozenset[str]] = NAMES | {"max_ratio"}

    def open(
        self, root: str, files: Files, params: LocalParams, columns: ColumnsConfig | None
    ) -> Contents:
        """Ranges of rows of the arrays; only their declarations are read."""
        chunks: dict[Split, tuple[Chunk, ...]] = {}
        said: tuple[tuple[str, str], ...] = ()
        for part, paths in files.items():
            for path in paths:
                with opened_hdf5(path) as file:
                    pairs = named_parts(
                        _names(file, path, params), params, path, partial(_rows, file), part
                    )
                    said = said or parts_said(pairs)
                    for split, (x, y) in pairs.items():
                        home = official_home(part, split, path)
                        cut = _cut(file, path, x, y, params)
                        chunks[home] = (*chunks.get(home, ()), *cut)
        return Contents(chunks=chunks, parts=said)

    def unlabelled(
        self, files: Sequence[str], params: LocalParams, signature: Signature
    ) -> AnyArray:
        """The rows of the array of features of every file."""
        return joined(_features(path, params) for path in files)


def _features(path: str, params: LocalParams) -> AnyArray:
    with opened_hdf5(path) as file:
        array = array_of(
            file, path, features_name(_names(file, path, params), params, path), params
        )
        if array.dtype.kind not in "biuf":
            refuse_array(path, array.name, f"of type {array.dtype}")
        rows: AnyArray = array[()]
        return rows


def _names(file: Any, path: str, params: LocalParams) -> tuple[str, ...]:
    """All arrays of the file; where both of train are named, only what is asked for."""
    if params.x is None:
        return array_names(file, path)
    asked = {getattr(params, name) for name in NAMES} - {None}
    return (*file, *sorted(name for name in asked if "/" in name and name in file))


def _rows(file: Any, name: str) -> int | None:
    """How many rows an array that is left over has; None for a link, a group or a single value."""
    import h5py

    at = file
    for step in name.split("/"):
        if not isinstance(at.get(step, getlink=True), h5py.HardLink):
            return None
        at = at[step]
    return len(at) if isinstance(at, h5py.Group) or at.shape else None


def _cut(file: Any, path: str, x: str, y: str, params: LocalParams) -> tuple[Chunk, ...]:
    counts = [len(array_of(file, path, name, params)) for name in (x, y)]
    if counts[0] != counts[1]:
        raise DataError(f"{counts[0]} rows but {counts[1]} labels", field=path, value=y)
    return tuple(
        Hdf5Chunk(path, x, y, start, stop, params.max_bytes, params.max_ratio)
        for start, stop in row_ranges(counts[0], params.rows_per_task)
    )

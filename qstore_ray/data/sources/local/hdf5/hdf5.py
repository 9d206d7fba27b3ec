"""HDF5 files with named arrays, read in ranges of rows (h5py).

An HDF5 file can point at other files (external and virtual datasets, external links) and declare
any shape without storing a byte. So only plain arrays are read: links are refused, and what an
array declares is compared with what is stored before any of it is read. Labels that are text of
variable length, as h5py writes lists of `str`, are read by another process (`hdf5_text.py`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from qstore_ray.data.files.files import open_file
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
from qstore_ray.data.sources.local.hdf5.names import ListArray, array_names, is_list
from qstore_ray.data.sources.local.hdf5.text import check_readable, read_texts
from qstore_ray.data.sources.parts import Split
from qstore_ray.errors import DataError, MissingDependencyError, QStoreError

if TYPE_CHECKING:
    from qstore_ray.data.inputs.signature import Signature
    from qstore_ray.data.sources.local.params import LocalParams
    from qstore_ray.types import AnyArray

_RATIO_MATTERS_FROM = 2**20


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
        with _opened(self.path) as file:
            x, y = (self._rows(_array(file, self.path, name, self)) for name in (self.x, self.y))
        return x, y

    def _rows(self, array: Any) -> AnyArray:
        if len(array) < self.stop:
            raise DataError(f"there is no row {self.stop - 1}", field=self.path, value=array.name)
        if _is_variable(array):
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
                with _opened(path) as file:
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
    with _opened(path) as file:
        array = _array(file, path, features_name(_names(file, path, params), params, path), params)
        if array.dtype.kind not in "biuf":
            _refuse(path, array.name, f"of type {array.dtype}")
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
    counts = [len(_array(file, path, name, params)) for name in (x, y)]
    if counts[0] != counts[1]:
        raise DataError(f"{counts[0]} rows but {counts[1]} labels", field=path, value=y)
    return tuple(
        Hdf5Chunk(path, x, y, start, stop, params.max_bytes, params.max_ratio)
        for start, stop in row_ranges(counts[0], params.rows_per_task)
    )


@contextmanager
def _opened(path: str) -> Iterator[Any]:
    try:
        import h5py
    except ImportError as exc:
        raise MissingDependencyError(
            "HDF5 files need h5py",
            field="params.path",
            value=path,
            fix="Run: pip install 'qstore-ray[hdf5]'",
        ) from exc
    with open_file(path) as stream:
        try:
            with h5py.File(stream, "r") as file:
                yield file
        except QStoreError:  # some are ValueErrors too
            raise
        except (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError) as exc:
            raise DataError(
                f"a damaged or foreign file: {exc}",
                field="params.path",
                value=path,
                fix="Write it again with h5py.",
            ) from exc


def _array(file: Any, path: str, name: str, limits: LocalParams | Hdf5Chunk) -> Any:
    """The array called `name`, if it is one that may be read."""
    import h5py

    at = _at(file, path, name)
    if is_list(at):
        items = ListArray(at, path)
        _check_size(items, path, name, limits)
        return items
    if not isinstance(at, h5py.Dataset):
        raise DataError("a group, not an array", field=path, value=name)
    if at.is_virtual:
        _refuse(path, name, "a virtual dataset, made of other files")
    if at.external:
        _refuse(path, name, "kept in other files")
    if at.dtype.kind not in "biuf" and h5py.check_string_dtype(at.dtype) is None:
        _refuse(path, name, f"of type {at.dtype}")
    if not at.shape:
        raise DataError("an array of rows is needed", field=path, value=name)
    if _is_variable(at):
        check_readable(path, name)
        if len(at.shape) > 1:
            _refuse(path, name, f"text of variable length, of shape {at.shape}")
    _check_size(at, path, name, limits)
    return at


def _at(file: Any, path: str, name: str) -> Any:
    """What is called `name`, come to by no links but the file's own."""
    import h5py

    at = file
    for step in name.strip("/").split("/"):
        if not isinstance(at, h5py.Group):
            raise DataError("not a group", field=path, value=name)
        if not isinstance(link := at.get(step, getlink=True), h5py.HardLink):
            _refuse(path, name, f"a link ({type(link).__name__})")
        at = at[step]
    return at


def _is_variable(array: Any) -> bool:
    """Whether it holds text of variable length, which only `read_texts` may read."""
    import h5py

    text = h5py.check_string_dtype(array.dtype)
    return text is not None and text.length is None


def _refuse(path: str, name: str, what: str) -> None:
    raise DataError(
        f"the array is {what}, which is refused",
        field=path,
        value=name,
        fix="Copy the numbers into a plain dataset of this file.",
    )


def _check_size(array: Any, path: str, name: str, limits: LocalParams | Hdf5Chunk) -> None:
    declared = math.prod(array.shape) * np.dtype(array.dtype).itemsize
    if array.shape[0] and not declared:
        raise DataError(f"rows without content, shape {array.shape}", field=path, value=name)
    if declared > limits.max_bytes:
        raise DataError(
            f"the array is {declared:,} bytes, {limits.max_bytes:,} are allowed",
            field=path,
            value=name,
            fix="Raise params.max_bytes if this is meant.",
        )
    block = math.prod(array.chunks or ()) * np.dtype(array.dtype).itemsize
    if block > limits.max_bytes:
        raise DataError(
            f"one chunk is {block:,} bytes, {limits.max_bytes:,} are allowed",
            field=path,
            value=name,
            fix="Write it with smaller chunks.",
        )
    if isinstance(array, ListArray):
        return  # every member takes room of its own
    stored = array.id.get_storage_size()
    if declared > _RATIO_MATTERS_FROM and declared > limits.max_ratio * max(stored, 1):
        raise DataError(
            f"declares {declared:,} bytes and stores {stored:,}, "
            f"{limits.max_ratio} times is allowed",
            field=path,
            value=name,
            fix="Raise params.max_ratio if this is meant.",
        )

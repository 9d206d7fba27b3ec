"""Opening an HDF5 file, and those of its arrays that may be read."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from qstore_ray.data.files.files import open_file
from qstore_ray.data.sources.local.hdf5.names import ListArray, is_list
from qstore_ray.data.sources.local.hdf5.text import check_readable
from qstore_ray.errors import DataError, MissingDependencyError, QStoreError

if TYPE_CHECKING:
    from qstore_ray.data.sources.local.hdf5.hdf5 import Hdf5Chunk
    from qstore_ray.data.sources.local.params import LocalParams

_RATIO_MATTERS_FROM = 2**20


@contextmanager
def opened_hdf5(path: str) -> Iterator[Any]:
    """The file, open for reading with h5py.

    Raises:
        MissingDependencyError: h5py is not installed.
        DataError: missing, damaged, or another format.
    """
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


def array_of(file: Any, path: str, name: str, limits: LocalParams | Hdf5Chunk) -> Any:
    """The array called `name`, if it is one that may be read.

    Raises:
        DataError: a group, a single value, or nothing that may be read.
    """
    import h5py

    at = _at(file, path, name)
    if is_list(at):
        items = ListArray(at, path)
        _check_size(items, path, name, limits)
        return items
    if not isinstance(at, h5py.Dataset):
        raise DataError("a group, not an array", field=path, value=name)
    if at.is_virtual:
        refuse_array(path, name, "a virtual dataset, made of other files")
    if at.external:
        refuse_array(path, name, "kept in other files")
    if at.dtype.kind not in "biuf" and h5py.check_string_dtype(at.dtype) is None:
        refuse_array(path, name, f"of type {at.dtype}")
    if not at.shape:
        raise DataError("an array of rows is needed", field=path, value=name)
    if is_variable(at):
        check_readable(path, name)
        if len(at.shape) > 1:
            refuse_array(path, name, f"text of variable length, of shape {at.shape}")
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
            refuse_array(path, name, f"a link ({type(link).__name__})")
        at = at[step]
    return at


def is_variable(array: Any) -> bool:
    """Whether it holds text of variable length, which only `read_texts` may read."""
    import h5py

    text = h5py.check_string_dtype(array.dtype)
    return text is not None and text.length is None


def refuse_array(path: str, name: str, what: str) -> None:
    """Raise `DataError` for an array that is not plain."""
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

"""NumPy files from anywhere: `.npz` and `.npy`, opened without trusting them.

The header of an array is believed only after it has been checked. Pickled objects are never loaded;
an array that declares more bytes than allowed, or more or fewer than its file holds, is refused
before any memory is taken for it; so is a zip member that would unpack to hundreds of times its
size.
"""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np

from qstore_ray.errors import DataError

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray

_LARGEST_RATIO = 500
_RATIO_MATTERS_FROM = 2**20


class Header(NamedTuple):
    """What the head of a `.npy` stream declares."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


class Place(NamedTuple):
    """Where one array is: a file, and the member's name if the file is a `.npz`."""

    path: str
    member: str | None

    def __str__(self) -> str:
        return self.path if self.member is None else f"{self.path}[{self.member!r}]"


def count_rows(x: Place, y: Place, max_bytes: int) -> int:
    """Rows N of the features at `x` and the labels at `y`, from their headers alone.

    Raises:
        DataError: missing, damaged, refused, or of different lengths.
    """
    counts = []
    for place in (x, y):
        with _opened(place, max_bytes) as (_, header):
            if not header.shape:
                raise DataError("an array of rows is needed", field=str(place))
            counts.append(header.shape[0])
    if counts[0] != counts[1]:
        raise DataError(f"{counts[0]} rows but {counts[1]} labels", field=str(y))
    return counts[0]


def member_names(path: str) -> tuple[str, ...]:
    """Names of the arrays in the `.npz` file at `path`.

    Raises:
        DataError: no such file, or not a zip archive.
    """
    with _translated(path), zipfile.ZipFile(path) as archive:
        return tuple(name.removesuffix(".npy") for name in archive.namelist())


def read_array(place: Place, max_bytes: int) -> AnyArray:
    """The array at `place`, checked before memory is taken for it; a `.npy` file is mapped.

    Raises:
        DataError: missing, damaged, too large, or of a type that is refused.
    """
    with _opened(place, max_bytes) as (stream, header):
        if place.member is None:
            if not _size(header):  # an empty file section cannot be mapped
                return np.empty(header.shape, header.dtype)
            mapped: AnyArray = np.load(place.path, mmap_mode="r", allow_pickle=False)
            return mapped
        stream.seek(0)
        array = np.lib.format.read_array(stream, allow_pickle=False)
        if stream.read(1):  # reading to the end also makes zipfile compare the checksum
            raise DataError("there are bytes after the array", field=str(place))
        return array


@contextmanager
def _opened(place: Place, max_bytes: int) -> Iterator[tuple[IO[bytes], Header]]:
    """The stream of `place` behind its header, and the header, checked."""
    with _translated(str(place)):
        if place.member is None:
            with Path(place.path).open("rb") as stream:
                header = _header(stream)
                found = Path(place.path).stat().st_size - stream.tell()
                _check_header(place, header, found, max_bytes)
                yield stream, header
            return
        with zipfile.ZipFile(place.path) as archive:
            info = archive.getinfo(f"{place.member}.npy")
            _check_member(place, info, max_bytes)
            with archive.open(info) as stream:
                header = _header(stream)
                _check_header(place, header, info.file_size - stream.tell(), max_bytes)
                yield stream, header


@contextmanager
def _translated(where: str) -> Iterator[None]:
    """What the operating system, zipfile and numpy raise, as `DataError`."""
    try:
        yield
    except FileNotFoundError as exc:
        raise DataError("no such file", field="params.path", value=where) from exc
    except OSError as exc:
        raise DataError(f"cannot read: {exc.strerror or exc}", value=where) from exc
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        KeyError,
        NotImplementedError,
        RuntimeError,
        ValueError,
    ) as exc:
        raise DataError(
            f"a damaged or foreign file: {exc}", value=where, fix="Write it again with numpy.savez."
        ) from exc


def _header(stream: IO[bytes]) -> Header:
    major = np.lib.format.read_magic(stream)[0]
    if major > 2:  # only records with names that are not Latin-1 need version 3
        raise ValueError(f"format version {major} is not supported")
    read = (None, np.lib.format.read_array_header_1_0, np.lib.format.read_array_header_2_0)[major]
    if read is None:
        raise ValueError("format version 0 does not exist")
    shape, _, dtype = read(stream)
    if any(length < 0 for length in shape):
        raise ValueError(f"shape {shape} is negative")
    return Header(shape, dtype)


def _size(header: Header) -> int:
    return math.prod(header.shape) * header.dtype.itemsize


def _check_header(place: Place, header: Header, found: int, max_bytes: int) -> None:
    if header.dtype.kind not in "biufU":
        raise DataError(
            f"arrays of type {header.dtype} are refused",
            field=str(place),
            fix="Objects and records are never loaded; save numbers or text of a fixed length.",
        )
    if header.shape and header.shape[0] and not _size(header):
        raise DataError(f"rows without content, shape {header.shape}", field=str(place))
    if _size(header) > max_bytes:
        raise DataError(
            f"the array is {_size(header):,} bytes, {max_bytes:,} are allowed",
            field=str(place),
            fix="Raise params.max_bytes if this is meant.",
        )
    if _size(header) != found:
        raise DataError(
            f"the header declares {_size(header):,} bytes, the file holds {found:,}",
            field=str(place),
        )


def _check_member(place: Place, info: zipfile.ZipInfo, max_bytes: int) -> None:
    ratio = info.file_size / max(info.compress_size, 1)
    if info.file_size > _RATIO_MATTERS_FROM and ratio > _LARGEST_RATIO:
        raise DataError(
            f"would unpack to {ratio:.0f} times its size, {_LARGEST_RATIO} times is allowed",
            field=str(place),
            fix="Save it with numpy.savez, uncompressed, if this is meant.",
        )
    if info.file_size > max_bytes + 2**16:
        raise DataError(
            f"would unpack to {info.file_size:,} bytes, {max_bytes:,} are allowed",
            field=str(place),
            fix="Raise params.max_bytes if this is meant.",
        )

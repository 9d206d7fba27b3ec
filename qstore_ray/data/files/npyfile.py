"""NumPy files from anywhere: `.npz` and `.npy`, by path or URI, opened without trusting them.

The header of an array is believed only after it has been checked. Pickled objects are never loaded;
an array that declares more bytes than allowed, or more or fewer than its file holds, is refused
before any memory is taken for it; so is a zip member that would unpack to hundreds of times its
size.
"""

from __future__ import annotations

import math
import os
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np

from qstore_ray.data.files.files import is_remote, open_file
from qstore_ray.errors import DataError

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray

LARGEST_RATIO = 500
_RATIO_MATTERS_FROM = 2**20
_PIECE = 2**22
_ZIP_LENGTHS = 26  # where a local file header gives the lengths of name and extra field
_ENCRYPTED = 1
_LAST_CHARACTER = 0x10FFFF
_REFUSED_FIX = {
    "O": "Lists and other objects are pickled, and pickles run code when they are opened; save "
    "rows of one length as an array of numbers, and text as text of a fixed length.",
    "c": "Features are real numbers; save real and imaginary parts as columns of their own.",
    "V": "Save the columns of a record as one array of numbers, or the table as Parquet or CSV.",
    "": "Save numbers, or text of a fixed length.",
}
_SURROGATES = (0xD800, 0xDFFF)


class Header(NamedTuple):
    """What the head of a `.npy` stream declares."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    column_major: bool


class Opened(NamedTuple):
    """A stream behind its header; the file it is read from, and its entry where that is a zip."""

    stream: IO[bytes]
    header: Header
    file: IO[bytes]
    info: zipfile.ZipInfo | None


class Place(NamedTuple):
    """Where one array is: a file, and the member's name if the file is a `.npz`."""

    path: str
    member: str | None

    def __str__(self) -> str:
        return self.path if self.member is None else f"{self.path}[{self.member!r}]"


def count_rows(x: Place, y: Place, max_bytes: int, max_ratio: int = LARGEST_RATIO) -> int:
    """Rows N of the features at `x` and the labels at `y`, from their headers alone.

    Raises:
        DataError: missing, damaged, refused, or of different lengths.
    """
    counts = []
    for place in (x, y):
        with _opened(place, max_bytes, max_ratio) as (_, header, _, _):
            if not header.shape:
                raise DataError("an array of rows is needed", field=str(place))
            counts.append(header.shape[0])
    if counts[0] != counts[1]:
        raise DataError(f"{counts[0]} rows but {counts[1]} labels", field=f"{x} and {y}")
    return counts[0]


def member_names(path: str) -> tuple[str, ...]:
    """Names of the arrays in the `.npz` file at `path`.

    Raises:
        DataError: no such file, or not a zip archive.
    """
    with (
        open_file(path) as file,
        _translated(path),
        zipfile.ZipFile(file) as archive,
    ):
        return tuple(name.removesuffix(".npy") for name in archive.namelist())


def declared_shape(place: Place) -> tuple[int, ...]:
    """The shape that the header at `place` declares; the array may have any type.

    Raises:
        DataError: no such array, or no header.
    """
    with open_file(place.path) as file, _translated(str(place)):
        if place.member is None:
            return _header(file).shape
        with zipfile.ZipFile(file) as archive, archive.open(f"{place.member}.npy") as stream:
            return _header(stream).shape


def read_array(place: Place, max_bytes: int) -> AnyArray:
    """The array at `place`, checked before memory is taken for it; a `.npy` file is mapped.

    Raises:
        DataError: missing, damaged, too large, or of a type that is refused.
    """
    with _opened(place, max_bytes, LARGEST_RATIO) as (stream, header, _, _):
        if place.member is None and not is_remote(place.path):
            if not _size(header):  # an empty file section cannot be mapped
                return np.empty(header.shape, header.dtype)
            mapped: AnyArray = np.load(place.path, mmap_mode="r", allow_pickle=False)
            return mapped
        return _whole(place, stream)


def read_rows(
    place: Place, start: int, stop: int, max_bytes: int, max_ratio: int = LARGEST_RATIO
) -> AnyArray:
    """Rows `start` to before `stop` of the array at `place`.

    Of a file that is not compressed only these rows are read; a compressed one is unpacked from its
    beginning, piece by piece, and what comes before is let go.

    Raises:
        DataError: missing, damaged, too large, of a type that is refused, or with fewer rows.
    """
    with _opened(place, max_bytes, max_ratio) as (stream, header, file, info):
        if not header.shape or header.shape[0] < stop:
            raise DataError(f"the array has no row {stop - 1}", field=str(place))
        whole = start == 0 and stop == header.shape[0]
        if header.column_major or (whole and place.member is not None):
            rows = _whole(place, stream)[start:stop]
        else:
            source = _direct(stream, file, info)
            row_bytes = _size(header) // header.shape[0] if header.shape[0] else 0
            _skip(source, start * row_bytes)
            shape = (stop - start, *header.shape[1:])
            rows = _take(source, shape, header.dtype)
            if stop == header.shape[0]:
                source.read(1)  # the end of a zip member, where zipfile compares the checksum
    _check_text(place, rows)
    return rows


def _whole(place: Place, stream: IO[bytes]) -> AnyArray:
    stream.seek(0)
    array: AnyArray = np.lib.format.read_array(stream, allow_pickle=False)
    if stream.read(1):  # reading to the end also makes zipfile compare the checksum
        raise DataError("there are bytes after the array", field=str(place))
    return array


def _direct(stream: IO[bytes], file: IO[bytes], info: zipfile.ZipInfo | None) -> IO[bytes]:
    """The file itself behind the header of a zip member that is stored as it is, to seek in."""
    if info is None or info.compress_type != zipfile.ZIP_STORED or info.flag_bits & _ENCRYPTED:
        return stream
    file.seek(info.header_offset + _ZIP_LENGTHS)
    file.seek(sum(struct.unpack("<HH", file.read(4))), os.SEEK_CUR)
    _header(file)
    return file


def _skip(stream: IO[bytes], n_bytes: int) -> None:
    if not isinstance(stream, zipfile.ZipExtFile):
        stream.seek(n_bytes, os.SEEK_CUR)
        return
    while n_bytes:
        n_bytes -= (piece := len(stream.read(min(n_bytes, _PIECE))))
        if not piece:
            raise EOFError("the array ends early")


def _take(stream: IO[bytes], shape: tuple[int, ...], dtype: np.dtype[Any]) -> AnyArray:
    """Rows of this shape from the stream, straight into the array."""
    array = np.empty(shape, dtype)
    if not array.size:
        return array
    memory = array.reshape(-1).view(np.uint8)
    filled = 0
    while filled < len(memory):
        piece = stream.read(min(_PIECE, len(memory) - filled))
        if not piece:
            raise EOFError("the array ends early")
        memory[filled : filled + len(piece)] = np.frombuffer(piece, dtype=np.uint8)
        filled += len(piece)
    return array


def _check_text(place: Place, array: AnyArray) -> None:
    """Refuse numbers that are no characters, which Python would stumble over later."""
    if array.dtype.kind != "U" or not array.size:
        return
    little = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("="))
    codes = little.reshape(-1).view(np.uint32)
    low, high = _SURROGATES
    if codes.max() > _LAST_CHARACTER or ((codes >= low) & (codes <= high)).any():
        raise DataError("text with numbers that are no characters", field=str(place))


@contextmanager
def _opened(place: Place, max_bytes: int, max_ratio: int) -> Iterator[Opened]:
    """The stream of `place` behind its header, and the header, checked."""
    with open_file(place.path) as file, _translated(str(place)):
        if place.member is None:
            header = _header(file)
            at = file.tell()
            found = file.seek(0, os.SEEK_END) - at
            file.seek(at)
            _check_header(place, header, found, max_bytes)
            yield Opened(file, header, file, None)
            return
        with zipfile.ZipFile(file) as archive:
            info = archive.getinfo(f"{place.member}.npy")
            _check_member(place, info, max_bytes, max_ratio)
            with archive.open(info) as stream:
                header = _header(stream)
                _check_header(place, header, info.file_size - stream.tell(), max_bytes)
                yield Opened(stream, header, file, info)


@contextmanager
def _translated(where: str) -> Iterator[None]:
    """What zipfile and numpy raise, as `DataError`."""
    try:
        yield
    except OSError as exc:
        raise DataError(
            f"cannot read: {exc.strerror or exc}", field="params.path", value=where
        ) from exc
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        KeyError,
        NotImplementedError,
        RuntimeError,
        SyntaxError,
        ValueError,
        struct.error,
        tokenize.TokenError,  # NumPy reads a header that is no Python as one of Python 2
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
    shape, column_major, dtype = read(stream)
    if any(length < 0 for length in shape):
        raise ValueError(f"shape {shape} is negative")
    return Header(shape, dtype, column_major)


def _size(header: Header) -> int:
    return math.prod(header.shape) * header.dtype.itemsize


def _check_header(place: Place, header: Header, found: int, max_bytes: int) -> None:
    if header.dtype.kind not in "biufU":
        raise DataError(
            f"arrays of type {header.dtype} are refused",
            field=str(place),
            fix=_REFUSED_FIX.get(header.dtype.kind, _REFUSED_FIX[""]),
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


def _check_member(place: Place, info: zipfile.ZipInfo, max_bytes: int, max_ratio: int) -> None:
    ratio = info.file_size / max(info.compress_size, 1)
    if info.file_size > _RATIO_MATTERS_FROM and ratio > max_ratio:
        raise DataError(
            f"would unpack to {ratio:.0f} times its size, {max_ratio} times is allowed",
            field=str(place),
            fix="Save it with numpy.savez, or raise params.max_ratio, if this is meant.",
        )
    if info.file_size > max_bytes + 2**16:
        raise DataError(
            f"would unpack to {info.file_size:,} bytes, {max_bytes:,} are allowed",
            field=str(place),
            fix="Raise params.max_bytes if this is meant.",
        )

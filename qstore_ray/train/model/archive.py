"""Zip archives that are exactly what was written: stored members, nothing beside them.

A zip archive can say one thing in its directory and another in its members, hold a name twice, a
path that leads out of its folder, a link, or a few bytes that unpack to gigabytes. None of it can
be in an archive of ours, so none of it is read: an archive has the expected members in order, each
stored as it is, one behind the other without a gap, and ends where its directory ends. Arrays are
such an archive too, float64 and finite, of shapes that are known before they are read.
"""

from __future__ import annotations

import io
import math
import stat
import struct
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from tokenize import TokenError
from typing import TYPE_CHECKING

import numpy as np

from qstore_ray.errors import CheckpointError, UsageError
from qstore_ray.files import write_durably

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, FloatArray

SUFFIX = ".qsm"
LARGEST_BYTES = 2**31
# The fixed parts of a local header, a directory entry and the end of the directory (APPNOTE 4.3).
_LOCAL, _ENTRY, _END = 30, 46, 22
_PLAIN_FILE = (stat.S_IFREG | 0o644) << 16
_UNIX = 3
_DAMAGED = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    NotImplementedError,  # a later version of the format, an unknown compression
    RuntimeError,  # encrypted
    EOFError,
    OSError,
    ValueError,
    struct.error,
)


_FLOAT64 = np.dtype("<f8")
# NumPy reads a header that is no Python 3 once more, as one that Python 2 wrote: TokenError.
_DAMAGED_HEADER = (ValueError, SyntaxError, TypeError, RecursionError, MemoryError, TokenError)


def read_bytes(path: Path) -> bytes:
    """The bytes of a model file, not looked at yet.

    Raises:
        UsageError: no such file.
        CheckpointError: it cannot be read, or is too large.
    """
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_BYTES + 1)
    except FileNotFoundError as exc:
        raise no_model_file_error(path) from exc
    except OSError as exc:
        raise model_file_error(f"cannot read the model file: {exc.strerror}", str(path)) from exc
    if len(data) > LARGEST_BYTES:
        raise model_file_error(f"the model file is larger than {LARGEST_BYTES:,} bytes", str(path))
    return data


def check_suffix(path: Path) -> None:
    """Raise `UsageError` unless a path ends as a model file does."""
    if path.suffix != SUFFIX:
        raise UsageError(
            "a model file ends in .qsm",
            field="path",
            value=str(path),
            fix=f"Write {path.with_suffix(SUFFIX)}.",
        )


def write_bytes(path: Path, data: bytes) -> None:
    """Write a model file, whole or not at all.

    Raises:
        UsageError: it cannot be written there.
    """
    try:
        write_durably(path, data)
    except OSError as exc:
        raise UsageError(
            f"cannot write the model file: {exc.strerror or type(exc).__name__}",
            field="path",
            value=str(path),
            fix="Give a file in a folder that exists and that you may write to.",
        ) from exc


def pack(members: Mapping[str, bytes]) -> bytes:
    """A zip archive of the members, in the order of their names; equal members give equal bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(members):
            info = zipfile.ZipInfo(name)  # dated 1980, where zip's time begins
            info.create_system, info.external_attr = _UNIX, _PLAIN_FILE
            archive.writestr(info, members[name])
    return buffer.getvalue()


def unpack(data: bytes, names: Iterable[str]) -> dict[str, bytes]:
    """The members of an archive that `pack` wrote, whose names are known.

    Raises:
        CheckpointError: other members, or anything that `pack` does not write.
    """
    expected = sorted(names)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            _check_names([entry.filename for entry in entries], expected)
            for entry in entries:
                _check_plain(entry)
            _check_layout(archive, entries, len(data))
            return {entry.filename: archive.read(entry) for entry in entries}
    except _DAMAGED as exc:
        raise model_file_error(f"the archive is damaged: {exc}") from exc


def pack_arrays(arrays: Mapping[str, AnyArray]) -> bytes:
    """A `.npz` archive of float64 arrays; equal arrays give equal bytes."""
    return pack({f"{name}.npy": _npy(array) for name, array in arrays.items()})


def unpack_arrays(data: bytes, shapes: Mapping[str, Sequence[int]]) -> dict[str, FloatArray]:
    """The arrays of an archive that `pack_arrays` wrote, whose names and shapes are known.

    Raises:
        CheckpointError: other arrays or shapes, another type than float64, NaN or infinity.
    """
    files = unpack(data, [f"{name}.npy" for name in shapes])
    return {name: _array(name, files[f"{name}.npy"], tuple(shapes[name])) for name in shapes}


def no_model_file_error(place: object) -> UsageError:
    """The error for a model file that does not exist."""
    return UsageError(
        "there is no such model file",
        field="model",
        value=str(place),
        fix="Give a .qsm file that TrainedModel.save wrote, or a run.",
    )


def model_file_error(
    message: str, value: object = None, *, field: str = "model"
) -> CheckpointError:
    """The error for a model file that is not opened."""
    return CheckpointError(
        message,
        field=field,
        value=value,
        fix="Take a file as TrainedModel.save wrote it, unchanged; write it again.",
    )


def _check_names(found: list[str], expected: list[str]) -> None:
    if found == expected:
        return
    twice = sorted({name for name in found if found.count(name) > 1}) if len(found) < 1000 else []
    strange = sorted(set(found) - set(expected))
    missing = sorted(set(expected) - set(found))
    if twice:
        raise model_file_error("the archive holds a member twice", twice[0])
    if strange:
        raise model_file_error("the archive holds a member that does not belong there", strange[0])
    if missing:
        raise model_file_error("the archive lacks a member", missing[0])
    raise model_file_error("the archive's members are not in order", found)


def _check_plain(entry: zipfile.ZipInfo) -> None:
    """Refuse any entry that is not a regular, uncompressed file."""
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if stat.S_ISLNK(kind):
        raise model_file_error("a member is a link", entry.filename)
    if entry.flag_bits & 1:
        raise model_file_error("a member is encrypted", entry.filename)
    if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size:
        raise model_file_error("a member is compressed", entry.filename)
    if not stat.S_ISREG(kind) or entry.flag_bits or entry.extra or entry.comment:
        raise model_file_error("a member is no plain file", entry.filename)


def _check_layout(archive: zipfile.ZipFile, entries: list[zipfile.ZipInfo], size: int) -> None:
    """Refuse bytes before, between and behind the members."""
    end = 0
    for entry in entries:
        if entry.header_offset != end:
            raise model_file_error("there are bytes that belong to no member", entry.filename)
        end += _LOCAL + len(entry.filename.encode()) + entry.file_size
    directory = sum(_ENTRY + len(entry.filename.encode()) for entry in entries)
    if archive.start_dir != end or size != end + directory + _END:
        raise model_file_error("there are bytes that belong to no member", size)


def _array(name: str, data: bytes, shape: tuple[int, ...]) -> FloatArray:
    """One array, whose header is accepted only if it agrees with the manifest."""
    stream = io.BytesIO(data)
    try:
        if np.lib.format.read_magic(stream) != (1, 0):
            raise model_file_error("an array of another version of NumPy's format", field=name)
        found, column_major, dtype = np.lib.format.read_array_header_1_0(stream)
    except _DAMAGED_HEADER as exc:
        raise model_file_error(f"an array's header is damaged: {exc}", field=name) from exc
    if dtype != _FLOAT64:
        raise model_file_error(
            "arrays of this type are refused, float64 is expected", str(dtype), field=name
        )
    if found != shape or len(data) - stream.tell() != _FLOAT64.itemsize * math.prod(shape):
        raise model_file_error(f"the array's shape is not {list(shape)}", list(found), field=name)
    flat = np.frombuffer(data, _FLOAT64, offset=stream.tell()).astype(np.float64)
    if not np.isfinite(flat).all():
        raise model_file_error("the array holds NaN or infinity", field=name)
    # As it lay in memory, because that decides in which order numpy adds up.
    return flat.reshape(shape, order="F" if column_major else "C")


def _npy(array: AnyArray) -> bytes:
    stream = io.BytesIO()
    values = np.asanyarray(array, dtype=_FLOAT64)
    np.lib.format.write_array(stream, values, version=(1, 0), allow_pickle=False)
    return stream.getvalue()

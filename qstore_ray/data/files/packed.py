"""Gzipped files from anywhere, unpacked in memory and never beyond a bound.

A header is believed only as far as `max_bytes`; what follows it must be exactly what it declares.
"""

from __future__ import annotations

import gzip
import io
import math
import tarfile
import zlib
from typing import TYPE_CHECKING

import numpy as np

from qstore_ray.errors import DataError

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray


def read_members(content: bytes, names: tuple[str, ...], max_bytes: int, where: str) -> list[bytes]:
    """The named files of a .tar.gz archive, by the last part of their path.

    Nothing is written to disk, so that paths and links in the archive mean nothing.

    Raises:
        DataError: damaged, too large when unpacked, or a file is missing.
    """
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as tar:
            left = max_bytes
            for member in tar:
                left -= member.size
                if left < 0:
                    raise _too_large_error(where, max_bytes)
                name = member.name.rpartition("/")[2]
                stream = tar.extractfile(member) if member.isfile() and name in names else None
                if stream is not None:
                    found[name] = stream.read()
    except (tarfile.TarError, zlib.error, EOFError, OSError) as exc:
        raise DataError(f"a damaged archive: {exc}", field=where) from exc
    missing = sorted(set(names) - set(found))
    if missing:
        raise DataError("the archive lacks files", field=where, value=missing)
    return [found[name] for name in names]


def read_idx(content: bytes, max_bytes: int, where: str) -> AnyArray:
    """The array of bytes in a gzipped IDX file: two zeros, type 8, the lengths, the content.

    Raises:
        DataError: damaged, too large when unpacked, or another format.
    """
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as stream:
            magic = stream.read(4)
            if len(magic) < 4 or magic[:3] != b"\0\0\x08" or not 1 <= magic[3] <= 4:
                raise DataError("not an IDX file of bytes", field=where, value=magic)
            lengths = np.frombuffer(stream.read(4 * magic[3]), ">u4")
            shape = tuple(int(length) for length in lengths)
            size = math.prod(shape)
            if size > max_bytes:
                raise _too_large_error(where, max_bytes)
            body = stream.read(size + 1)
    except (zlib.error, EOFError, OSError, ValueError) as exc:
        raise DataError(f"a damaged file: {exc}", field=where) from exc
    if len(shape) != magic[3] or len(body) != size:
        raise DataError(f"the header declares shape {shape}, the file differs", field=where)
    array: AnyArray = np.frombuffer(body, np.uint8).reshape(shape)
    return array


def _too_large_error(where: str, max_bytes: int) -> DataError:
    return DataError(
        f"would unpack to more than {max_bytes:,} bytes",
        field=where,
        fix="Raise params.max_bytes if this is meant.",
    )

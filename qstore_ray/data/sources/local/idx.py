"""IDX, the format of the MNIST files: a few numbers that give type and shape, then the values.

    00 00 type ndim | ndim sizes, 4 bytes each, big-endian | values, big-endian

`train-images-idx3-ubyte.gz` has its labels in `train-labels-idx1-ubyte.gz` beside it; in a folder,
`t10k-…` or `test-…` files are the official test part. See http://yann.lecun.com/exdb/mnist/.
"""

from __future__ import annotations

import gzip
import math
import os
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, ClassVar, cast

import numpy as np

from qstore_ray.data.files.files import absolute, open_file
from qstore_ray.data.sources.base import ColumnsConfig
from qstore_ray.data.sources.local.base import Chunk, Contents, Files, Format, joined, row_ranges
from qstore_ray.data.sources.parts import Split
from qstore_ray.errors import ConfigError, DataError

if TYPE_CHECKING:
    from qstore_ray.data.inputs.signature import Signature
    from qstore_ray.data.sources.local.params import LocalParams
    from qstore_ray.types import AnyArray

_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_PIECE = 2**22


@dataclass(frozen=True)
class IdxChunk:
    """Rows `start` to before `stop` of an images file and a labels file."""

    x: str
    y: str
    start: int
    stop: int
    max_bytes: int

    @property
    def n_rows(self) -> int:
        """Rows N."""
        return self.stop - self.start

    def read(self) -> tuple[AnyArray, AnyArray]:
        """Features and labels of the rows."""
        x, y = (
            _read_rows(where, self.start, self.stop, self.max_bytes) for where in (self.x, self.y)
        )
        return x, y


class IdxFormat(Format):
    """An images file with its labels file, or a folder of such pairs."""

    takes: ClassVar[frozenset[str]] = frozenset({"y_path"})

    def open(
        self, root: str, files: Files, params: LocalParams, columns: ColumnsConfig | None
    ) -> Contents:
        """Ranges of rows of the images; only the heads of the files are read.

        Raises:
            ConfigError: one file of labels for several files of images.
        """
        images = [file for paths in files.values() for file in paths]
        if params.y_path is not None and len(images) > 1:
            raise ConfigError(
                f"one labels file for {len(images)} images files",
                field="params.y_path",
                value=params.y_path,
                fix="Give the path of one images file.",
            )
        chunks: dict[Split, tuple[Chunk, ...]] = {}
        for part, paths in files.items():
            for x in paths:
                y = _labels_of(x) if params.y_path is None else absolute(params.y_path)
                chunks[part] = (*chunks.get(part, ()), *_cut(x, y, params))
        return Contents(chunks=chunks)

    def rows_in(self, files: tuple[str, ...]) -> tuple[str, ...]:
        """The images; labels have their rows' names."""
        return tuple(file for file in files if "label" not in _name(file)) or files[:1]

    def unlabelled(
        self, files: Sequence[str], params: LocalParams, signature: Signature
    ) -> AnyArray:
        """The rows of the files of images."""
        return joined(_whole(path, params.max_bytes) for path in files)


def _whole(path: str, max_bytes: int) -> AnyArray:
    with _opened(path, max_bytes) as (_, shape, _dtype):
        n_rows = shape[0]
    return _read_rows(path, 0, n_rows, max_bytes)


def _name(where: str) -> str:
    return where.rpartition("/")[2].lower()


def _labels_of(x: str) -> str:
    folder, slash, name = x.rpartition("/")
    companion = name.replace("images", "labels").replace("idx3", "idx1").replace("idx4", "idx1")
    if companion == name:
        raise ConfigError(
            "the labels file has another name than MNIST's",
            field="params.y_path",
            value=x,
            fix="Set params.y_path to the labels file.",
        )
    return f"{folder}{slash}{companion}"


def _cut(x: str, y: str, params: LocalParams) -> tuple[Chunk, ...]:
    counts = []
    for where in (x, y):
        with _opened(where, params.max_bytes) as (_, shape, _dtype):
            counts.append(shape[0])
    if counts[0] != counts[1]:
        raise DataError(f"{counts[0]} rows but {counts[1]} labels", field=y)
    return tuple(
        IdxChunk(x, y, start, stop, params.max_bytes)
        for start, stop in row_ranges(counts[0], params.rows_per_task)
    )


def _read_rows(where: str, start: int, stop: int, max_bytes: int) -> AnyArray:
    with _opened(where, max_bytes) as (stream, shape, dtype):
        if shape[0] < stop:
            raise DataError(f"there is no row {stop - 1}", field=where)
        row_bytes = math.prod(shape[1:]) * dtype.itemsize
        _skip(stream, start * row_bytes)
        content = stream.read((stop - start) * row_bytes)
        if len(content) != (stop - start) * row_bytes:
            raise EOFError("the values end early")
        if stop == shape[0] and stream.read(1):  # to the end, where gzip compares the checksum
            raise DataError("there are bytes after the values", field=where)
    return np.frombuffer(content, dtype).reshape(stop - start, *shape[1:])


def _skip(stream: IO[bytes], n_bytes: int) -> None:
    if not isinstance(stream, gzip.GzipFile):
        stream.seek(n_bytes, os.SEEK_CUR)
        return
    while n_bytes:
        n_bytes -= (piece := len(stream.read(min(n_bytes, _PIECE))))
        if not piece:
            raise EOFError("the values end early")


@contextmanager
def _opened(
    where: str, max_bytes: int
) -> Iterator[tuple[IO[bytes], tuple[int, ...], np.dtype[Any]]]:
    """The stream behind the head, the shape and the type that it declares, checked."""
    with open_file(where) as file:
        try:
            packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            if not packed:
                size = file.seek(0, os.SEEK_END)
                file.seek(0)
                yield file, *_head(where, file, max_bytes, size)
                return
            with gzip.GzipFile(fileobj=file) as unpacked:
                stream = cast("IO[bytes]", unpacked)
                yield stream, *_head(where, stream, max_bytes, None)
        except (EOFError, zlib.error, gzip.BadGzipFile) as exc:
            raise DataError(
                f"a damaged file: {exc}", field="params.path", value=where, fix="Fetch it again."
            ) from exc


def _head(
    where: str, stream: IO[bytes] | gzip.GzipFile, max_bytes: int, size: int | None
) -> tuple[tuple[int, ...], np.dtype[Any]]:
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _TYPES or not magic[3]:
        raise DataError(
            "not an IDX file", field="params.path", value=where, fix="Check params.format."
        )
    sizes = stream.read(4 * magic[3])
    if len(sizes) != 4 * magic[3]:
        raise EOFError("the head ends early")
    shape = tuple(int(length) for length in np.frombuffer(sizes, ">u4"))
    dtype = np.dtype(_TYPES[magic[2]])
    declared = math.prod(shape) * dtype.itemsize
    if declared > max_bytes:
        raise DataError(
            f"the array is {declared:,} bytes, {max_bytes:,} are allowed",
            field=where,
            fix="Raise params.max_bytes if this is meant.",
        )
    if shape[0] and not declared:
        raise DataError(f"rows without content, shape {shape}", field=where)
    if size is not None and size - 4 - len(sizes) != declared:
        raise DataError(
            f"the head declares {declared:,} bytes, the file holds {size - 4 - len(sizes):,}",
            field=where,
        )
    return shape, dtype

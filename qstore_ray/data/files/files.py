"""Files by path or URI: opened and read in ranges; what goes wrong is a `DataError`.

A plain path and `file://` are opened by Python itself. Any other scheme belongs to fsspec
(`memory://`, `https://`, …), except the object stores that pyarrow brings (`s3://`, `gs://`), which
need no further package. A file is known by one string, so that a read task can carry it to another
process and open it there.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from qstore_ray.errors import ConfigError, DataError, MissingDependencyError, not_installed_error
from qstore_ray.files import expanded

_URI = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]+://")
_ARROW = ("s3", "gs", "gcs")


def absolute(path: str) -> str:
    """The one string that a path, or a URI, is known by on this machine.

    Raises:
        ConfigError: empty, with a NUL character, or URIs that are chained with `::`.
    """
    if not path or "\0" in path or "::" in path:
        raise ConfigError(
            "not a path", field="params.path", value=path, fix="Give one path or one URI."
        )
    if path.startswith("file://"):
        path = url2pathname(urlsplit(path).path)
    return path if _URI.match(path) else str(expanded(path).absolute())


def is_remote(where: str) -> bool:
    """Whether `where` is a URI that this machine's own `open` does not understand."""
    return _URI.match(where) is not None


@contextmanager
def open_file(where: str) -> Iterator[IO[bytes]]:
    """The file open for reading, with `seek`.

    Raises:
        DataError: missing, unreadable, or no regular file.
        MissingDependencyError: the scheme needs a package that is not installed.
    """
    with reading(where):
        if is_remote(where):
            system, name = file_system(where)
            # A file of memory:// has one position for all its readers, in any thread.
            memory = where.startswith("memory://")
            with io.BytesIO(system.cat(name)) if memory else system.open(name, "rb") as stream:
                yield stream
            return
        if Path(where).exists() and not Path(where).is_file():
            raise DataError("not a regular file", field="params.path", value=where)
        with Path(where).open("rb") as stream:
            yield stream


def file_size(where: str) -> int:
    """Bytes in the file.

    Raises:
        DataError: missing or unreadable.
    """
    with open_file(where) as stream:
        return stream.seek(0, os.SEEK_END)


def read_range(where: str, start: int, stop: int) -> bytes:
    """The bytes from `start` to before `stop`.

    Raises:
        DataError: missing, unreadable, or shorter than that.
    """
    with open_file(where) as stream:
        return read_stream(stream, where, start, stop)


def read_stream(stream: IO[bytes], where: str, start: int, stop: int) -> bytes:
    """The bytes from `start` to before `stop` of the open file `where`.

    Raises:
        DataError: shorter than that.
    """
    stream.seek(start)
    content = stream.read(stop - start)
    if len(content) != stop - start:
        raise DataError(
            f"the file ends at byte {start + len(content):,}, {stop:,} are needed",
            field="params.path",
            value=where,
            fix="It changed since it was opened; load the dataset again.",
        )
    return content


@contextmanager
def reading(where: str) -> Iterator[None]:
    """What the operating system raises while `where` is read, as `DataError`."""
    try:
        yield
    except FileNotFoundError as exc:
        raise DataError(
            "no such file", field="params.path", value=where, fix="Check the path."
        ) from exc
    except OSError as exc:
        raise DataError(
            f"cannot read: {exc.strerror or exc}", field="params.path", value=where
        ) from exc
    except _http_errors() as exc:
        raise DataError(
            f"cannot read: {exc}", field="params.path", value=where, fix="Check the address."
        ) from exc


def _http_errors() -> tuple[type[Exception], ...]:
    """What `https://` raises beside OSError, where fsspec has imported the package for it."""
    aiohttp = sys.modules.get("aiohttp")
    return () if aiohttp is None else (aiohttp.ClientError,)


def file_system(where: str) -> tuple[Any, str]:
    """The fsspec file system of a URI, and the file's name in it.

    Raises:
        MissingDependencyError: fsspec, or what it needs for this scheme, is not installed.
        ConfigError: fsspec knows no such scheme.
    """
    scheme = where.partition("://")[0]
    try:
        from fsspec.core import url_to_fs
    except ImportError as exc:
        what = f"reading files of {scheme}://"
        raise not_installed_error("fsspec", "remote", what=what, field="params.path") from exc
    try:
        if scheme in _ARROW:
            import pyarrow.fs
            from fsspec.implementations.arrow import ArrowFSWrapper

            system, name = pyarrow.fs.FileSystem.from_uri(where)
            return ArrowFSWrapper(system), name
        found: tuple[Any, str] = url_to_fs(where)
    except ImportError as exc:
        raise MissingDependencyError(
            f"files of {scheme}:// need a package that is not installed: {exc}",
            field="params.path",
            value=where,
            fix="Install the package that the message names.",
        ) from exc
    except ValueError as exc:
        raise ConfigError(
            f"cannot open: {exc}", field="params.path", value=where, fix="Check the scheme."
        ) from exc
    return found


def sha256_of(path: Path) -> str:
    """SHA-256 of a local file's content, as 64 hex digits.

    Raises:
        OSError: as the system says.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

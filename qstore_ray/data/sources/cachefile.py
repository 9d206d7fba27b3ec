"""Files of a download cache: checked against a SHA-256 before they are opened.

A file whose hash is wrong is never read. Whoever allowed a download gets it replaced: the damaged
file is deleted, and the download is tried twice; it goes to a temporary name and takes its place
only when its hash is right. Without that permission the file stays where it is.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from qstore_ray.deadline import within
from qstore_ray.errors import DataError
from qstore_ray.files import write_durably

_CHUNK = 2**16
_LONGEST_SILENCE = 30.0


@dataclass(frozen=True)
class CachedFile:
    """A file with the hash that it must have, or None if no hash was published."""

    path: str
    sha256: str | None

    def read(self, max_bytes: int) -> bytes:
        """The content, checked.

        Raises:
            DataError: missing, unreadable, larger than `max_bytes`, or of another hash.
        """
        try:
            size = Path(self.path).stat().st_size
            if size > max_bytes:
                raise DataError(
                    f"the file is {size:,} bytes, {max_bytes:,} are allowed",
                    field=self.path,
                    fix="Raise params.max_bytes if this is meant.",
                )
            content = Path(self.path).read_bytes()
        except OSError as exc:
            raise DataError(f"cannot read: {exc.strerror or exc}", field=self.path) from exc
        found = hashlib.sha256(content).hexdigest()
        if self.sha256 is not None and found != self.sha256:
            raise DataError(
                f"the file is damaged or another one: its SHA-256 is not {self.sha256}",
                field=self.path,
                value=found,
                fix="Delete it and download it again, or set params.download = true; the hash of "
                "a file of your own goes into params.sha256.",
            )
        return content


def obtain(file: CachedFile, url: str, *, max_bytes: int, timeout: float) -> None:
    """Make sure that `file` exists with its hash; download it from `url` if it does not.

    Args:
        timeout: of each download, in seconds.

    Raises:
        DataError: the server cannot be reached, is too slow, or twice sends something else.
    """
    path = Path(file.path)
    try:
        if path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() == file.sha256:
            return
        path.unlink(missing_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        for _ in range(2):
            content = within(
                timeout,
                lambda: _download(url, max_bytes, timeout),
                what=f"downloading {url}",
                field="params.timeout",
            )
            if hashlib.sha256(content).hexdigest() == file.sha256:
                write_durably(path, content)
                return
    except OSError as exc:
        raise DataError(f"cannot write: {exc.strerror or exc}", field=file.path) from exc
    raise DataError(
        f"the download has the wrong SHA-256, twice: {file.sha256} is expected",
        field="params.sha256",
        value=url,
        fix=f"The server sends another file; get it elsewhere and put it at {file.path}.",
    )


def _download(url: str, max_bytes: int, timeout: float) -> bytes:
    """The body of `url`, at most `max_bytes` of it."""
    import requests

    try:
        with requests.get(url, stream=True, timeout=min(timeout, _LONGEST_SILENCE)) as response:
            response.raise_for_status()
            pieces, size = [], 0
            for piece in response.iter_content(_CHUNK):
                size += len(piece)
                if size > max_bytes:
                    raise DataError(
                        f"the server sends more than {max_bytes:,} bytes",
                        field="params.max_bytes",
                        value=url,
                    )
                pieces.append(piece)
    except requests.RequestException as exc:
        raise DataError(
            f"cannot download {url}: {exc}",
            field="params.download",
            fix="Check the network, or put the file into the cache folder by hand.",
        ) from exc
    return b"".join(pieces)

"""Files fetched from the service, kept in a folder, and resumed where a connection broke.

For every (dataset, split, format) the folder holds the file, named by its SHA-256, and a small
JSON note that says which one it is. A second fetch asks with If-None-Match and sends nothing when
the content is the same. A broken transfer leaves a `.part` file; the next attempt asks for the rest
by Range and If-Range, so that the rest of *another* content can never be joined to it. A file is
given its name only after its SHA-256 has been checked.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from qstore_ray.data.files.files import sha256_of
from qstore_ray.data.service.records import SHA256_PATTERN
from qstore_ray.errors import DataError, ServiceError
from qstore_ray.files import write_durably

if TYPE_CHECKING:
    import requests

    from qstore_ray.data.service.client.transport import Transport


class Fetch:
    """One file of the service, fetched into `folder`.

    Args:
        key: what the file is, as a file name: `<id>-<split>.<format>`.
        sha256: what its content must hash to, where that is known beforehand.
        max_bytes: largest file that is taken.
    """

    def __init__(
        self, transport: Transport, folder: Path, key: str, *, sha256: str | None, max_bytes: int
    ) -> None:
        self._transport, self._folder, self._key = transport, folder, key
        self._expected, self._max_bytes = sha256, max_bytes
        self._note = folder / f"{key}.json"
        self._part = folder / f".{key}.{os.getpid()}.part"
        self._tag = ""  # the hash of the content that the part file belongs to

    def run(self, path: str, params: Mapping[str, str]) -> Path:
        """Fetch, resume or confirm; the path of the checked file.

        Raises:
            DataError: the content does not have the hash that was promised.
            ServiceError: the service fails or breaks the protocol.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        kept = self._kept()
        if kept and self._expected and kept[1] == self._expected:
            return kept[0]
        try:
            return self._transport.repeated(
                lambda deadline: self._once(path, params, deadline, kept)
            )
        finally:
            self._part.unlink(missing_ok=True)

    def _once(
        self, path: str, params: Mapping[str, str], deadline: float, kept: tuple[Path, str] | None
    ) -> Path:
        have = self._part.stat().st_size if self._part.exists() else 0
        headers = {}
        if have and self._tag:
            headers = {"Range": f"bytes={have}-", "If-Range": f'"{self._tag}"'}
        elif kept:
            headers = {"If-None-Match": f'"{kept[1]}"'}
        with self._transport.exchange(
            "GET", path, deadline, params=params, headers=headers
        ) as response:
            if response.status_code == 304 and kept and not have:
                return kept[0]
            tag = self._promised(response)
            if response.status_code == 206 and have:
                _check_range(response, have, tag, self._tag)
            elif response.status_code == 200:
                have = 0
            else:
                raise ServiceError(f"the service answered {response.status_code} to a download")
            self._tag = tag
            with self._part.open("ab" if have else "wb") as file:
                for piece in self._transport.body(response, deadline, self._max_bytes - have):
                    file.write(piece)
        return self._accept(tag)

    def _promised(self, response: requests.Response) -> str:
        """The hash that the ETag promises.

        Raises:
            ServiceError: no hash.
            DataError: another content than the dataset's record says.
        """
        tag = response.headers.get("ETag", "").strip('"')
        if not re.fullmatch(SHA256_PATTERN, tag):
            raise ServiceError("the download has no SHA-256 as its ETag", value=tag)
        if self._expected is not None and tag != self._expected:
            raise DataError(
                "the service offers other content than the dataset's record says",
                field="sha256",
                value=tag,
                fix=f"The record says {self._expected}. Ask again; it may have changed just now.",
            )
        return tag

    def _accept(self, tag: str) -> Path:
        found = sha256_of(self._part)
        if found != tag:
            raise DataError(
                "the file that arrived is not the one that was promised",
                field="sha256",
                value=found,
                fix=f"It should be {tag}. Something between here and the service changes data.",
            )
        target = self._folder / f"{tag}{Path(self._key).suffix}"
        self._part.replace(target)
        write_durably(self._note, json.dumps({"sha256": tag}).encode())
        return target

    def _kept(self) -> tuple[Path, str] | None:
        """The file that the note names and its hash, if its content is still that."""
        with suppress(FileNotFoundError, ValueError, KeyError, TypeError):
            tag = str(json.loads(self._note.read_bytes())["sha256"])
            path = self._folder / f"{tag}{Path(self._key).suffix}"
            if re.fullmatch(SHA256_PATTERN, tag) and sha256_of(path) == tag:
                return path, tag
        return None


def _check_range(response: requests.Response, have: int, tag: str, wanted: str) -> None:
    start = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    if start is None or int(start[1]) != have or tag != wanted:
        raise ServiceError(
            "the service sent another range than was asked for",
            value=response.headers.get("Content-Range"),
            fix="Ask again: the download then starts from the beginning.",
        )

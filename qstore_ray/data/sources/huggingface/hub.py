"""The hub: which commit a revision is, which files it has, and the files themselves.

Everything that talks to the server goes through `Hub`, under a deadline (`stream.py`), and
everything that can go wrong there is translated here. A revision is resolved once, to a commit;
from then on only that commit is read, even if the branch changes. The listing of a commit is
kept beside the files in the cache, so that the same dataset can be loaded offline later.

The token comes from `HF_TOKEN` in the environment of the process that reads, and from nowhere else:
it is never part of a configuration, a task or a message.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast
from urllib.parse import quote

from huggingface_hub import HfApi, HfFileSystem, constants, hf_hub_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from qstore_ray.data.sources.huggingface.stream import Deadline, Stream
from qstore_ray.errors import DataError, first_line
from qstore_ray.files import write_durably

_NETWORK_ERRORS: tuple[Any, ...] = (OSError, *HfHubHTTPError.__bases__)  # of its HTTP library
_BLOCK = 2**20


@dataclass(frozen=True)
class HubCommit:
    """A commit (40 hex digits) and the names of its files."""

    commit: str
    files: tuple[str, ...]


@dataclass(frozen=True)
class Hub:
    """One dataset repository, and how to reach it.

    Args:
        path: name of the repository, `owner/name`.
        endpoint: address of the hub.
        cache_dir: folder for downloaded files, in the hub library's own layout.
        offline: use the cache only.
        timeout: seconds that one listing or one file may take.
    """

    path: str
    endpoint: str
    cache_dir: str
    offline: bool
    timeout: float

    def listing(self, revision: str) -> HubCommit:
        """The commit that `revision` is, and its files.

        Raises:
            DataError: no such repository or revision, moved, gated, unreachable, too slow.
        """
        note = self._note(revision)
        if self.offline:
            return self._noted(note, revision)
        with self._translated(revision):
            info = Deadline(self.timeout).read(
                lambda: HfApi(endpoint=self.endpoint, token=_token()).dataset_info(
                    self.path, revision=revision, timeout=self.timeout
                ),
                f"asking for {self.path}",
            )
            listing = HubCommit(
                str(info.sha), tuple(sorted(file.rfilename for file in info.siblings or ()))
            )
        if info.id != self.path:
            raise DataError(
                f"the dataset is now called {info.id}",
                field="params.path",
                value=self.path,
                fix=f'Write path = "{info.id}".',
            )
        if len(listing.commit) != 40:
            raise DataError("the hub did not name the commit", field="params.endpoint")
        try:
            note.parent.mkdir(parents=True, exist_ok=True)
            write_durably(note, json.dumps([listing.commit, listing.files]).encode())
        except OSError as exc:
            raise DataError(
                f"cannot write to the cache: {exc.strerror or exc}",
                field="cache_dir",
                value=self.cache_dir,
                fix="Name a folder that can be written to.",
            ) from exc
        return listing

    def download(self, file: str, commit: str) -> str:
        """Path of `file` in the cache, downloaded if it is not there.

        Raises:
            DataError: as for `listing`, or offline and not in the cache.
        """
        with self._translated(commit):
            return Deadline(self.timeout).read(
                lambda: hf_hub_download(
                    self.path,
                    file,
                    repo_type="dataset",
                    revision=commit,
                    cache_dir=self.cache_dir,
                    endpoint=self.endpoint,
                    token=_token(),
                    etag_timeout=min(self.timeout, 10.0),
                    local_files_only=self.offline,
                ),
                f"downloading {file}",
            )

    @contextmanager
    def over_network(self, file: str, commit: str) -> Iterator[IO[bytes]]:
        """`file` as a stream, of which only the parts that are read are transferred.

        Raises:
            DataError: as for `listing`, also while the stream is read.
        """

        def opened() -> Any:
            system = HfFileSystem(endpoint=self.endpoint, token=_token(), skip_instance_cache=True)
            return system.open(f"datasets/{self.path}@{commit}/{file}", "rb", block_size=_BLOCK)

        with self._translated(commit):
            deadline = Deadline(self.timeout)
            remote = deadline.read(opened, f"opening {file}")
            yield cast("IO[bytes]", Stream(remote, deadline))

    def _note(self, revision: str) -> Path:
        folder = f"datasets--{self.path.replace('/', '--')}"
        return Path(self.cache_dir) / folder / "listings" / f"{quote(revision, safe='')}.json"

    def _noted(self, note: Path, revision: str) -> HubCommit:
        try:
            commit, files = json.loads(note.read_text(encoding="utf-8"))
        except (OSError, ValueError) as exc:
            raise DataError(
                f"offline, and revision {revision!r} of this dataset is not in the cache",
                field="params.path",
                value=self.path,
                fix="Load it once online (offline = false, HF_HUB_OFFLINE unset), with the same "
                f"cache folder: {self.cache_dir}.",
            ) from exc
        return HubCommit(str(commit), tuple(str(file) for file in files))

    @contextmanager
    def _translated(self, revision: str) -> Iterator[None]:
        """What the hub's library and its HTTP library raise, as `DataError`."""
        try:
            yield
        except GatedRepoError as exc:
            raise self._error(
                "the dataset is gated: its owner grants access",
                "Ask for access on its page, and set HF_TOKEN to a token of yours.",
            ) from exc
        except RepositoryNotFoundError as exc:
            raise self._error(
                "no such dataset, or it is private",
                "Check the name, written owner/name; for a private one set HF_TOKEN.",
            ) from exc
        except RevisionNotFoundError as exc:
            raise DataError(
                f"the dataset has no revision {revision!r}",
                field="revision",
                value=revision,
                fix="Leave it out for the main branch, or name a branch, tag or commit.",
            ) from exc
        except (OfflineModeIsEnabled, LocalEntryNotFoundError) as exc:
            raise self._error(
                f"the file is not in the cache, and the hub cannot be asked: {_cause(exc)}",
                f"Load it once online; the hub is {self.endpoint}, the cache {self.cache_dir}.",
            ) from exc
        except EntryNotFoundError as exc:
            raise self._error(
                f"a file of commit {revision} is gone from the hub", "Name another revision."
            ) from exc
        except _NETWORK_ERRORS as exc:
            raise self._error(
                f"the hub at {self.endpoint} does not answer as it should: {_cause(exc)}",
                "Check the network, params.endpoint and HF_ENDPOINT; try again later.",
            ) from exc
        except (AttributeError, KeyError, TypeError, ValueError) as exc:
            raise self._error(
                f"{self.endpoint} does not answer like a hub: {type(exc).__name__}",
                "Check params.endpoint and HF_ENDPOINT.",
            ) from exc

    def _error(self, message: str, fix: str) -> DataError:
        return DataError(message, field="params.path", value=self.path, fix=fix)


def _token() -> str | bool:
    return os.environ.get("HF_TOKEN") or False  # False: not the one saved in the home directory


def _cause(exc: BaseException) -> str:
    return first_line(exc.__cause__ or exc)


def is_offline() -> bool:
    """Whether `HF_HUB_OFFLINE` was set when the hub's library was imported."""
    return bool(constants.HF_HUB_OFFLINE)

"""A folder on this machine and its objects, brought to the same state.

What a reader must not see half of is written in the order of the folder's own laws: the files of a
checkpoint before its manifest, the metrics and the kept models before the checkpoint that implies
them, the record of the run last. Files whose names begin with a dot belong to this machine alone.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, TypeAlias

from qstore_ray.errors import RunError
from qstore_ray.files import unwritable_fix, write_durably
from qstore_ray.storage.parts import PartedFile

if TYPE_CHECKING:
    from qstore_ray.storage.objects import Objects

_Signature: TypeAlias = tuple[int, int, int]
_MANIFEST, _RECORD, _CHECKPOINTS = "manifest.json", "run.json", "checkpoints/"
_LOCAL = frozenset({"stop"})


class Mirror:
    """Copies a folder to its objects and back. Its methods may be called from several threads.

    Args:
        guard: called before anything is written; raises if this process may not.
        growing: names of files that only grow, which become numbered parts.
        skipped: top-level names that another process writes.
    """

    def __init__(
        self,
        objects: Objects,
        folder: Path,
        guard: Callable[[], None],
        *,
        growing: Collection[str] = ("metrics.jsonl",),
        skipped: Collection[str] = (),
    ) -> None:
        self._objects, self._folder, self._guard = objects, folder, guard
        self._skipped = frozenset(skipped)
        self._growing = {name: PartedFile(objects, folder / name) for name in growing}
        self._stems = tuple(f"{Path(name).stem}/" for name in growing)
        self._known: dict[str, _Signature] = {}
        self._lock = threading.Lock()

    def flush(self) -> None:
        """Upload what was added to the files that grow.

        Raises:
            StorageError: the object store cannot be used, or another attempt writes them.
        """
        with self._lock:
            for parts in self._growing.values():
                parts.flush()

    def push(self, *, first: str = "") -> None:
        """Upload what is new or changed, then delete what is gone.

        Args:
            first: the key of a file that goes before all others.

        Raises:
            StorageError: the object store cannot be used, or another attempt holds the lease.
        """
        with self._lock:
            self._guard()
            if first:
                self._upload(first, _signature(self._folder / first))
            for parts in self._growing.values():
                parts.flush()
            found = dict(self._files())
            for key in sorted(found, key=_turn):
                if self._known.get(key) != found[key]:
                    self._upload(key, found[key])
            for key in sorted(self._known.keys() - found.keys(), key=_turn, reverse=True):
                self._objects.delete(key)
                del self._known[key]

    def pull(
        self,
        *,
        only: Callable[[str], bool] | None = None,
        exact: bool = True,
        fetches: bool = True,
    ) -> None:
        """Download what this machine does not have.

        Args:
            only: says which files to look at.
            exact: delete those that are no objects.
            fetches: False takes it that there are no objects.

        Raises:
            StorageError: the object store cannot be used.
            RunError: the folder cannot be written to.
        """
        with self._lock:
            every = self._objects.listing() if fetches else ()
            listed = [key for key in every if self._is_ours(key)]
            wanted = [key for key in listed if only is None or only(key)]
            try:
                if exact:
                    self._delete_all_but(set(listed), only)
                for key in sorted(wanted, key=_turn):
                    self._download(key)
                for name, parts in self._growing.items():
                    if only is not None and not only(name):
                        continue
                    data = parts.fetch() if fetches else None
                    self._write(self._folder / name, data, exact=exact)
            except OSError as exc:
                raise RunError(
                    f"cannot write into the stage: {exc.strerror or type(exc).__name__}",
                    field="storage",
                    value=str(self._folder),
                    fix=unwritable_fix(exc),
                ) from exc

    def empty(self) -> None:
        """Delete all objects of a run, its record last, as that says whose the others are.

        Raises:
            StorageError: the object store cannot be used, or another attempt holds the lease.
        """
        with self._lock:
            self._guard()
            keys = [key for key in self._objects.listing() if not is_hidden(key)]
            for key in sorted(keys, key=lambda key: (key == _RECORD, not key.endswith(_MANIFEST))):
                self._objects.delete(key)
            self._known.clear()

    def _files(self) -> Iterator[tuple[str, _Signature]]:
        for folder, _, names in os.walk(self._folder):  # passes over what is deleted meanwhile
            for name in names:
                path = Path(folder, name)
                key = path.relative_to(self._folder).as_posix()
                if self._is_ours(key) and key not in self._growing:
                    with suppress(FileNotFoundError):
                        yield key, _signature(path)

    def _is_ours(self, key: str) -> bool:
        first = key.partition("/")[0]
        return not (
            is_hidden(key)
            or first in _LOCAL
            or first in self._skipped
            or key.startswith(self._stems)
        )

    def _upload(self, key: str, signature: _Signature) -> None:
        try:
            data = (self._folder / key).read_bytes()
        except FileNotFoundError:  # deleted meanwhile
            return
        manifest = str(PurePosixPath(key).with_name(_MANIFEST))
        if manifest != key and self._known.get(key) and self._known.pop(manifest, None):
            self._objects.delete(manifest)  # it is of the bytes that are replaced
        self._objects.put(key, data)
        self._known[key] = signature

    def _download(self, key: str) -> None:
        found = self._objects.read(key)
        if found is None:  # deleted meanwhile
            return
        path = self._folder / key
        self._write(path, found.data)
        self._known[key] = _signature(path)

    @staticmethod
    def _write(path: Path, data: bytes | None, *, exact: bool = True) -> None:
        if data is None:
            if exact:
                path.unlink(missing_ok=True)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_file() or path.read_bytes() != data:
            write_durably(path, data)

    def _delete_all_but(self, keys: set[str], only: Callable[[str], bool] | None) -> None:
        for key, _ in list(self._files()):
            if key not in keys and (only is None or only(key)):
                (self._folder / key).unlink(missing_ok=True)
        for name, _, _ in os.walk(self._folder, topdown=False):
            folder = Path(name)
            if folder != self._folder and not is_hidden(
                folder.relative_to(self._folder).as_posix()
            ):
                with suppress(OSError):  # not empty
                    folder.rmdir()


def _turn(key: str) -> tuple[bool, bool, bool, bool, str]:
    """Sorts keys into the order in which they are written."""
    name = key.rpartition("/")[2]
    return (
        key == _RECORD,
        key.startswith(_CHECKPOINTS),
        name == "index.json",
        name == _MANIFEST,
        key,
    )


def is_hidden(key: str) -> bool:
    """Whether a key is of this machine alone, or would lead out of a folder."""
    return any(not part or part.startswith(".") for part in key.split("/"))


def _signature(path: Path) -> _Signature:
    found = path.stat()
    return (found.st_ino, found.st_size, found.st_mtime_ns)

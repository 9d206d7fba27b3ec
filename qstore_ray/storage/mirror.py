"""A folder on this machine and its objects, brought to the same state, in the order of `contents`.

Every write is conditional, so that a process which was stopped for so long that another attempt has
taken its run over cannot undo what that one wrote, in whichever moment it was stopped:

- an object is replaced if it is still the one that this process wrote or read, and created if there
  is none; if not, the lease is asked, and only its holder writes again;
- a manifest counts for what lies beside it. The lease is asked right before it is written, and
  whoever takes a run over seals what has no manifest yet: it writes an empty one, which is none to
  a reader, so that the earlier attempt cannot create it any more.

Deleting has no condition in object stores; the lease is asked before. What an attempt deletes, it
has replaced by something newer, which the next one has found.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from qstore_ray.errors import RunError, StorageError
from qstore_ray.files import unwritable_fix, write_durably
from qstore_ray.storage.contents import (
    METRICS,
    RECORD,
    is_hidden,
    is_local,
    is_manifest,
    manifest_of,
    needed_manifest,
    turn,
)
from qstore_ray.storage.parts import PartedFile

if TYPE_CHECKING:
    from qstore_ray.storage.objects import ObjectFacts, Objects

_Signature: TypeAlias = tuple[int, int, int]
_NONE: Final = b""
"""What stands in a manifest's place where there is to be none."""
_TRIES: Final = 10


class Mirror:
    """Copies a folder to its objects and back. Its methods may be called from several threads.

    Args:
        guard: asks the lease; raises if this process may not write.
        growing: names of files that only grow, which become numbered parts.
        skips: says of which files another process is the writer.
    """

    def __init__(
        self,
        objects: Objects,
        folder: Path,
        guard: Callable[[], None],
        *,
        growing: Collection[str] = (METRICS,),
        skips: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._objects, self._folder, self._guard = objects, folder, guard
        self._skips = skips
        self._growing = {name: PartedFile(objects, folder / name, guard) for name in growing}
        self._stems = tuple(f"{Path(name).stem}/" for name in growing)
        self._known: dict[str, _Signature] = {}
        self._tags: dict[str, str] = {}
        self._loose: set[str] = set()
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
            for key in sorted(found, key=turn):
                if self._known.get(key) != found[key]:
                    self._upload(key, found[key])
            gone = self._known.keys() - found.keys()
            if gone:
                self._guard()
            for key in sorted(gone, key=turn, reverse=True):
                self._objects.delete(key)
                del self._known[key], self._tags[key]

    def seal(self) -> None:
        """Make what has no manifest stay without one, and delete it; after `pull`, by the holder of
        a new lease, before anything else is written.

        Raises:
            StorageError: the object store cannot be used.
        """
        with self._lock:
            for manifest in sorted({needed_manifest(key) or key for key in self._loose}):
                if manifest not in self._tags:  # else it is sealed
                    self._put(manifest, _NONE)
            for key in sorted(self._loose):
                self._objects.delete(key)
            self._loose.clear()

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
            every = self._objects.listing() if fetches else {}
            loose = {key for key in _loose(every) if self._is_ours(key)}
            listed = [key for key in every if self._is_ours(key) and key not in loose]
            self._loose = {key for key in loose if not is_manifest(key)}
            self._tags |= {key: every[key].tag for key in loose if is_manifest(key)}
            for key in loose:
                self._known.pop(key, None)
            wanted = [key for key in listed if only is None or only(key)]
            try:
                if exact:
                    self._delete_all_but(set(listed), only)
                for key in sorted(wanted, key=turn):
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
            for key in sorted(keys, key=lambda key: (key == RECORD, not is_manifest(key))):
                self._objects.delete(key)
            self._known.clear()
            self._tags.clear()

    def _files(self) -> Iterator[tuple[str, _Signature]]:
        for folder, _, names in os.walk(self._folder):  # passes over what is deleted meanwhile
            for name in names:
                path = Path(folder, name)
                key = path.relative_to(self._folder).as_posix()
                if self._is_ours(key) and key not in self._growing:
                    with suppress(FileNotFoundError):
                        yield key, _signature(path)

    def _is_ours(self, key: str) -> bool:
        return not (is_local(key) or key.startswith(self._stems) or self._skips(key))

    def _upload(self, key: str, signature: _Signature) -> None:
        try:
            data = (self._folder / key).read_bytes()
        except FileNotFoundError:  # deleted meanwhile
            return
        manifest = manifest_of(key)
        if manifest != key and self._known.get(key) and self._known.pop(manifest, None):
            self._put(manifest, _NONE)  # it is of the bytes that are replaced
        if is_manifest(key):
            self._guard()
        self._put(key, data)
        self._known[key] = signature

    def _put(self, key: str, data: bytes) -> None:
        """Write an object if nobody else did, or if he has lost the lease to this attempt."""
        tag = self._tags.get(key)
        for _ in range(_TRIES):
            done = (
                self._objects.create(key, data)
                if tag is None
                else self._objects.replace(key, data, tag)
            )
            if done is not None:
                self._tags[key] = done
                return
            self._guard()
            now = self._objects.facts(key)
            tag = None if now is None else now.tag
        raise StorageError(
            f"another process writes {key} of this run again and again",
            field="name",
            fix="Continue with existing='resume' when the other has ended.",
        )

    def _download(self, key: str) -> None:
        found = self._objects.read(key)
        if found is None:  # deleted meanwhile
            return
        path = self._folder / key
        self._write(path, found.data)
        self._known[key], self._tags[key] = _signature(path), found.tag

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


def _loose(every: Mapping[str, ObjectFacts]) -> set[str]:
    """The objects that count for nothing: without their manifest, or a manifest of nothing."""
    needed = {key: manifest for key in every if (manifest := needed_manifest(key)) is not None}
    whole = {
        manifest
        for key, manifest in needed.items()
        if key != manifest and manifest in every and every[manifest].size > len(_NONE)
    }
    return {key for key, manifest in needed.items() if manifest not in whole}


def _signature(path: Path) -> _Signature:
    found = path.stat()
    return (found.st_ino, found.st_size, found.st_mtime_ns)

"""Single files and finished folders in an object store, and their copies on this machine."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from qstore_ray.errors import RunError, UsageError
from qstore_ray.files import unwritable_fix, write_durably
from qstore_ray.storage import cloud
from qstore_ray.storage.address import StorageAddress

if TYPE_CHECKING:
    from qstore_ray.storage.objects import Objects

_SAVING = ".saving"


def fetched_file(address: StorageAddress) -> Path | None:
    """A copy of an object, in the stage; None if there is no such object.

    Raises:
        StorageError: the object store cannot be used.
        RunError: the stage cannot be written to.
    """
    found = cloud.open_objects(address.parent).read(address.name)
    return None if found is None else _kept(address.stage, found.data)


def put_bytes(address: StorageAddress, data: bytes) -> None:
    """Write an object, whole or not at all; one that is there is replaced.

    Raises:
        StorageError: the object store cannot be used.
    """
    cloud.open_objects(address.parent).put(address.name, data)


def check_free(address: StorageAddress) -> None:
    """Refuse an address where something is.

    Raises:
        UsageError: there is something. StorageError: the object store cannot be used.
    """
    if cloud.open_objects(address).listing():
        raise _taken_error(address)


def save_folder(folder: Path, address: StorageAddress, *, last: str) -> None:
    """Upload the files of a folder to an unused address.

    Args:
        last: the file without which the others are nothing; it is written when they are there.

    Raises:
        UsageError: there is something at the address, or another process writes there.
        StorageError: the object store cannot be used; `last` is not there.
    """
    objects = cloud.open_objects(address)
    if objects.listing() or objects.create(_SAVING, secrets.token_bytes(8)) is None:
        raise _taken_error(address)
    for path in sorted(folder.iterdir()):
        if path.name != last:
            objects.put(path.name, path)
    objects.create(last, (folder / last).read_bytes())
    objects.delete(_SAVING)


def _taken_error(address: StorageAddress) -> UsageError:
    return UsageError(
        "there is something at this address",
        field="folder",
        value=str(address),
        fix="Give a new address, or delete what is there first.",
    )


def fetched_folder(address: StorageAddress, names: dict[str, bool]) -> Path:
    """Copies of some objects below an address, in its stage.

    Args:
        names: whether each is to be fetched again, if there is a copy.

    Raises:
        StorageError: the object store cannot be used.
        RunError: the stage cannot be written to.
    """
    objects = cloud.open_objects(address)
    for name, again in names.items():
        path = address.stage / name
        if again or not path.is_file():
            _fetch(objects, name, path)
    return address.stage


def _fetch(objects: Objects, name: str, path: Path) -> None:
    """Copy an object of any size; a copy that breaks off leaves none."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            if objects.fetch(name, part):
                part.replace(path)
            else:
                path.unlink(missing_ok=True)
        finally:
            part.unlink(missing_ok=True)
    except OSError as exc:
        raise stage_error(path.parent, exc) from exc


def _kept(path: Path, data: bytes) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_durably(path, data)
    except OSError as exc:
        raise stage_error(path.parent, exc) from exc
    return path


def stage_error(folder: Path, exc: OSError) -> RunError:
    """For a folder of copies that cannot be written."""
    return RunError(
        f"cannot write into the stage: {exc.strerror or type(exc).__name__}",
        field="storage",
        value=str(folder),
        fix=f"{unwritable_fix(exc)} XDG_CACHE_HOME says where stages are.",
    )

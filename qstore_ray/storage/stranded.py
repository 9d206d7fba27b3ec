"""Runs whose objects are gone from the object store: what this machine has of them is kept.

The stage of a run follows its objects, so that of a bucket that was deleted and made again nothing
would be left anywhere. Before the stage is emptied, it is copied to a folder beside all stages:

    ~/.cache/qstore_ray/stranded/s3/BUCKET/PREFIX/NAME

That is a plain run folder, in which a training can continue.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

from qstore_ray.errors import StorageError
from qstore_ray.storage.address import origin_of, stage_root

if TYPE_CHECKING:
    from qstore_ray.storage.objects import Objects

_RECORD: Final = "run.json"
_PLACE: Final = "stranded"


def keep_stranded(path: Path, objects: Objects) -> None:
    """Copy the stage of a run if the objects of the run are gone; an earlier copy is replaced.

    Raises:
        StorageError: the object store cannot be used.
        OSError: the copy cannot be written.
    """
    if not (path / _RECORD).is_file() or objects.facts(_RECORD) is not None:
        return
    objects.names()  # an error if the bucket is gone: asked for one object, a store does not say so
    copy = _place(path)
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(path, copy, ignore=shutil.ignore_patterns(".*"))


def stranded_fix(path: Path) -> str:
    """Where a run continues whose objects are gone; empty if this machine has nothing of it."""
    copy = _place(path)
    if origin_of(path) is None or not (copy / _RECORD).is_file():
        return ""
    return (
        "The object store has nothing of this run any more. What this machine had of it is in "
        f"{copy}: resume there, with storage = {str(copy.parent)!r}."
    )


def note_what_is_kept(exc: StorageError, path: Path) -> None:
    """Add to an error that ends a run what this machine has of it beyond the object store."""
    found = sorted(each.parent.name for each in path.glob("checkpoints/*/manifest.json"))
    if origin_of(path) is not None and found:
        exc.add_note(
            f"This machine keeps what it has of the run, to the checkpoint {found[-1]}, in {path}. "
            "It continues from what the object store has when that can be used again."
        )


def _place(path: Path) -> Path:
    root = stage_root()
    return root.parent / _PLACE / path.relative_to(root) if origin_of(path) is not None else path

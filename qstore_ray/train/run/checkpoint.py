"""Checkpoints: a folder with `arrays.npz` and, written last, `manifest.json` with its SHA-256.

    checkpoints/step-00000120/arrays.npz
                              manifest.json

A folder without a manifest, or whose bytes do not have the recorded hash, is not a checkpoint: a
reader passes it over, says so, and takes the one before. Nothing in it is ever unpickled.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from qstore_ray.errors import CheckpointError
from qstore_ray.files import parsed_json, unwritable_fix, write_durably
from qstore_ray.train.run.manifest import CheckpointManifest, StoredManifest

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray

FORMAT = 1
_ARRAYS, _MANIFEST = "arrays.npz", "manifest.json"


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was read and whose hashes are right.

    Attributes:
        path: its folder.
        arrays: everything numeric, by name.
        manifest: everything else.
    """

    path: Path
    arrays: Mapping[str, AnyArray]
    manifest: StoredManifest


def write_checkpoint(
    folder: Path, step: int, arrays: Mapping[str, AnyArray], manifest: CheckpointManifest
) -> Path:
    """Write `folder/step-XXXXXXXX` so that a crash at any moment leaves no false checkpoint.

    Raises:
        CheckpointError: the disk is full or the folder cannot be written to.
    """
    path = folder / f"step-{step:08d}"
    buffer = io.BytesIO()
    np.savez(buffer, **dict(arrays))  # type: ignore[arg-type]  # the stub wants a bool first
    data = buffer.getvalue()
    whole: StoredManifest = {
        **manifest,
        "format": FORMAT,
        "step": step,
        "members": {_ARRAYS: _sha256(data)},
    }
    try:
        if path.exists():  # an earlier attempt wrote it, or began to
            (path / _MANIFEST).unlink(missing_ok=True)
        path.mkdir(parents=True, exist_ok=True)
        write_durably(path / _ARRAYS, data)
        write_durably(path / _MANIFEST, json.dumps(whole, indent=1).encode())
    except OSError as exc:
        raise CheckpointError(
            f"cannot write the checkpoint: {exc.strerror or type(exc).__name__}",
            value=str(path),
            fix=unwritable_fix(exc, "continue with existing='resume'"),
        ) from exc
    return path


def read_checkpoint(path: Path) -> Checkpoint:
    """Read and verify one checkpoint folder.

    Raises:
        CheckpointError: half-written, damaged, of another format, or holding pickled objects.
    """
    try:
        manifest = parsed_json((path / _MANIFEST).read_bytes())
        data = (path / _ARRAYS).read_bytes()
    except FileNotFoundError as exc:
        raise CheckpointError("the checkpoint is incomplete", value=path.name) from exc
    except (OSError, ValueError) as exc:
        raise CheckpointError(f"the checkpoint is unreadable: {exc}", value=path.name) from exc
    if (
        not isinstance(manifest, dict)
        or manifest.get("format") != FORMAT
        or not isinstance(manifest.get("step"), int)
    ):
        raise CheckpointError("not a checkpoint of a format known here", value=path.name)
    if manifest.get("members") != {_ARRAYS: _sha256(data)}:
        raise CheckpointError("the checkpoint is damaged: its hash does not match", value=path.name)
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (ValueError, zipfile.BadZipFile) as exc:
        raise CheckpointError(
            f"the checkpoint's arrays are unreadable: {exc}", value=path.name
        ) from exc
    return Checkpoint(path, arrays, cast("StoredManifest", manifest))


def latest_checkpoint(folder: Path) -> tuple[Checkpoint | None, list[CheckpointError]]:
    """The newest readable checkpoint, and an error for each newer one that had to be passed over.

    Raises:
        CheckpointError: there are checkpoints, and none is readable.
    """
    problems: list[CheckpointError] = []
    for path in sorted(folder.glob("step-*"), reverse=True):
        try:
            return read_checkpoint(path), problems
        except CheckpointError as exc:
            problems.append(exc)
    # A first checkpoint that was never completed is the same as none; a damaged one is not.
    if any("incomplete" not in problem.message for problem in problems):
        raise CheckpointError(
            "no checkpoint of this run is readable",
            value=str(folder),
            fix="Start again with existing='replace'.",
        ) from problems[0]
    return None, problems


def find_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint that `path` is, or the newest readable one of the run folder that it is.

    Raises:
        CheckpointError: no readable checkpoint exists.
    """
    if (path / "manifest.json").exists():
        return read_checkpoint(path)
    found, problems = latest_checkpoint(path / "checkpoints")
    if found is None:
        raise CheckpointError(
            "there is no checkpoint here",
            field="run",
            value=str(path),
            fix="Give a run folder such as runs/digits, or a .qsm file.",
        ) from (problems[0] if problems else None)
    return found


def prune_checkpoints(folder: Path, keep: int) -> None:
    """Delete all but the newest `keep` checkpoint folders."""
    for path in sorted(folder.glob("step-*"), reverse=True)[keep:]:
        shutil.rmtree(path, ignore_errors=True)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()

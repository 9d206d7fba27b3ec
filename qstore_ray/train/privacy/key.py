"""The key of a private run's noise: `privacy.key` in the run folder, readable by its owner alone.

It exists while the run is under way, so that a step that is taken again has the same noise, and
is deleted when the run is finished. Used by worker 0.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from qstore_ray.errors import CheckpointError
from qstore_ray.files import unwritable_fix
from qstore_ray.learn.privacy.noise import KEY_BYTES, NoiseKey

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray

_NAME: Final = "privacy.key"
DIGEST: Final = "privacy.key_digest"
"""In a checkpoint: which key the steps before it had; zeros if no step after it was taken."""


def open_key(run_dir: Path | None, arrays: Mapping[str, AnyArray]) -> NoiseKey:
    """The key of the run: the one that it has, or a new one if no step can be taken twice.

    Args:
        run_dir: the run folder; None keeps the key in memory.
        arrays: of the checkpoint that the run continues from; empty at its start.

    Raises:
        CheckpointError: the key is gone, damaged or another's, or cannot be written.
    """
    if run_dir is None:
        return NoiseKey.drawn()
    path, expected = run_dir / _NAME, _digest_in(arrays)
    secret = _read(path)
    if secret is None and expected is None:
        key = NoiseKey.drawn()
        _write(path, key)
        return key
    is_known = secret is not None and len(secret) == KEY_BYTES
    if secret is None or not is_known or expected not in (None, NoiseKey(secret).digest):
        raise CheckpointError(
            "the key of this run's noise is missing or not the one it began with, so that steps "
            "after its checkpoint could be taken twice with different noise, which would reveal "
            "more than the account says",
            field="run",
            value=str(path),
            fix="Put the file back, or start again with existing='replace'.",
        )
    return NoiseKey(secret)


def forget_key(run_dir: Path | None) -> None:
    """Delete the key of a run that is finished, so that nobody can subtract its noise.

    Raises:
        CheckpointError: the file cannot be deleted.
    """
    if run_dir is None:
        return
    try:
        (run_dir / _NAME).unlink(missing_ok=True)
    except OSError as exc:
        raise _file_error("cannot delete the key of the noise", run_dir / _NAME, exc) from exc


def _digest_in(arrays: Mapping[str, AnyArray]) -> bytes | None:
    found = arrays.get(DIGEST)
    return None if found is None or not np.any(found) else found.astype(np.uint8).tobytes()


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise _file_error("cannot read the key of the noise", path, exc) from exc


def _write(path: Path, key: NoiseKey) -> None:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(key.secret)
            file.flush()
            os.fsync(file.fileno())
    except OSError as exc:
        raise _file_error("cannot write the key of the noise", path, exc) from exc


def _file_error(said: str, path: Path, exc: OSError) -> CheckpointError:
    return CheckpointError(
        f"{said}: {exc.strerror or type(exc).__name__}",
        field="run",
        value=str(path),
        fix=unwritable_fix(exc, "continue with existing='resume'"),
    )

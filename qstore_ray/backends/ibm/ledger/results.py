"""Results of jobs on disk: arrays as npz without pickle, details as JSON.

    results/<key>.npz     the arrays
    results/<key>.json    key and id of the job, SHA-256 of the arrays, and the caller's details

The JSON file is written last and names the checksum of the arrays, so a result is complete if both
fit together. The client library's own encoder cannot write results of its client-side primitives,
and its decoder imports what a file names; neither is used.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from qstore_ray.backends.ibm.keys import redact_account
from qstore_ray.errors import LedgerError
from qstore_ray.files import write_durably

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, ReadOnlyTable

RESULTS: Final = "results"


@dataclass(frozen=True)
class HardwareResult:
    """The result of a job.

    Attributes:
        arrays: name → numbers.
        details: JSON-ready facts: session, calibration time, options, ….
    """

    arrays: Mapping[str, AnyArray]
    details: ReadOnlyTable


def write_result(folder: Path, key: str, job_id: str, result: HardwareResult) -> tuple[str, str]:
    """Write a result; when it returns, both files are on disk. SHA-256 of arrays and details.

    Args:
        folder: of the ledger.

    Raises:
        LedgerError: an array of objects, or details that are no JSON.
        OSError: as the system says.
    """
    arrays = _npz(key, result.arrays)
    sums = {"key": key, "job_id": job_id, "arrays_sha256": _sha256(arrays)}
    try:
        details = json.dumps({**sums, "details": dict(result.details)}, allow_nan=False)
    except (TypeError, ValueError) as exc:
        raise LedgerError(
            f"the details of a result cannot be written as JSON: {exc}", field="key", value=key
        ) from exc
    text = redact_account(details).encode()
    to = folder / RESULTS
    if not to.is_dir():
        to.mkdir(mode=0o700)
        sync_folder(folder)
    write_durably(to / f"{key}.npz", arrays)
    write_durably(to / f"{key}.json", text)
    sync_folder(to)  # the new names, too
    return _sha256(arrays), _sha256(text)


def read_result(folder: Path, key: str, checksums: tuple[str, str]) -> HardwareResult:
    """The result that was written with these checksums.

    Raises:
        LedgerError: a file is missing, or is not the one that was written.
    """
    found = _read(folder, key)
    if found is None or (_sha256(found[0]), _sha256(found[1])) != checksums:
        raise LedgerError(
            "the result of a job is missing or damaged",
            field="key",
            value=key,
            fix="Fetch it again: the service keeps results of jobs that are not private.",
        )
    return _decoded(*found)


def complete_result(folder: Path, key: str, job_id: str) -> tuple[str, str] | None:
    """The checksums of a result of this job that is on disk and complete, or None.

    A gateway that is killed after it wrote a result and before it recorded that leaves such a one.
    The service gives the result of a private job only once.
    """
    found = _read(folder, key)
    if found is None:
        return None
    arrays, details = found
    try:
        sums = json.loads(details)
        named = (sums["key"], sums["job_id"], sums["arrays_sha256"])
    except (ValueError, KeyError, TypeError):
        return None
    return (_sha256(arrays), _sha256(details)) if named == (key, job_id, _sha256(arrays)) else None


def sync_folder(folder: Path) -> None:
    """Put a folder's list of names on disk.

    Raises:
        OSError: as the system says.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _npz(key: str, arrays: Mapping[str, AnyArray]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:  # np.savez takes no array with the name "file"
        for name, array in arrays.items():
            if np.asarray(array).dtype.hasobject:
                raise LedgerError(
                    f"the array {name!r} of a result holds objects", field="key", value=key
                )
            member_name = zipfile.ZipInfo(f"{name}.npy")  # without the time: equal bytes
            with archive.open(member_name, "w") as member:
                np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)
    return file.getvalue()


def _read(folder: Path, key: str) -> tuple[bytes, bytes] | None:
    at = folder / RESULTS
    try:
        return (at / f"{key}.npz").read_bytes(), (at / f"{key}.json").read_bytes()
    except FileNotFoundError:
        return None


def _decoded(arrays: bytes, details: bytes) -> HardwareResult:
    with np.load(io.BytesIO(arrays), allow_pickle=False) as archive:
        values = {name: archive[name] for name in archive.files}
    return HardwareResult(values, json.loads(details)["details"])


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()

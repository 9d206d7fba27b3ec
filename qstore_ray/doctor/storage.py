"""Whether runs can be written: the storage folder, and MLflow's store."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from qstore_ray.credentials import redact_text
from qstore_ray.doctor.database import locked_finding
from qstore_ray.doctor.diagnosis import Diagnosis
from qstore_ray.doctor.machine import size
from qstore_ray.errors import QStoreError
from qstore_ray.files import is_full, is_there
from qstore_ray.storage.address import StorageAddress, address_of, storage_folder
from qstore_ray.storage.cloud import open_objects
from qstore_ray.storage.conditions import check_store
from qstore_ray.track.config import TrackConfig, default_uri

_LITTLE_DISK = 2**30


def examine_storage(storage: str | Path, track: TrackConfig) -> Iterator[Diagnosis]:
    """Write, rename and delete a file in the storage folder, or an object; open MLflow's store.

    A folder that does not exist is not created: its nearest parent is tried.
    """
    yield examine_place(storage)
    try:
        storage_folder(storage)
    except QStoreError:  # it has no store either; the first finding says why
        return
    if track.mlflow:
        yield examine_mlflow(storage, track)


def examine_place(storage: str | Path) -> Diagnosis:
    """Write, rename and delete a file in the storage folder, or an object, and see what is free."""
    try:
        address = address_of(storage)
        return _folder(storage_folder(storage)) if address is None else _objects(address)
    except QStoreError as error:
        return Diagnosis.of_error("storage", error)


def written(folder: Path) -> tuple[Path, OSError | None]:
    """Write, rename and delete a file in a folder or its nearest parent that exists.

    Returns that folder, and what the system says if it cannot be written; nothing is left.
    """
    there = folder
    while not is_there(there) and there != there.parent:
        there = there.parent
    part = there / f".qstore-doctor-{secrets.token_hex(4)}.part"
    try:
        try:
            with part.open("wb") as file:
                file.write(b"x" * 4096)
                os.fsync(file.fileno())
            part.replace(part.with_suffix(".whole"))
        finally:
            part.unlink(missing_ok=True)
            part.with_suffix(".whole").unlink(missing_ok=True)
    except OSError as exc:
        return there, exc
    return there, None


def _folder(folder: Path) -> Diagnosis:
    there, refused = written(folder)
    if refused is not None:
        return Diagnosis(
            "storage", "fault", f"nothing can be written in {there}: {refused.strerror or refused}",
            ("Free some space, or name" if is_full(refused) else "Name")
            + ' another folder: storage = "…".',
        )  # fmt: skip
    free = shutil.disk_usage(there).free
    text = f"{folder}: written, renamed and deleted a file; {size(free)} free"
    if free < _LITTLE_DISK:
        return Diagnosis("storage", "note", text, "Free some of the disk, or name another folder.")
    return Diagnosis("storage", "ok", text)


def _objects(address: StorageAddress) -> Diagnosis:
    try:
        check_store(open_objects(address), address)
    except QStoreError as error:
        return Diagnosis.of_error("storage", error)
    return Diagnosis("storage", "ok", f"{address}: created, replaced and deleted an object")


def examine_mlflow(storage: str | Path, track: TrackConfig) -> Diagnosis:
    """Open MLflow's store; one that does not exist yet is not created."""
    from qstore_ray.track.config import sqlite_file
    from qstore_ray.track.mlflow.store import open_client, translated

    try:
        uri = track.mlflow_uri or default_uri(storage_folder(storage))
        shown = redact_text(str(uri))
        file = sqlite_file(uri)
        if file is not None and not file.exists():
            return Diagnosis("mlflow", "ok", f"{shown} is created by the first run")
        if file is not None and (locked := locked_finding("mlflow", file)) is not None:
            return locked
        with translated(uri, "open the store"):
            found = open_client(uri).search_experiments(max_results=50)
    except QStoreError as error:
        advice = "Start the server or correct track.mlflow_uri; track.mlflow=false leaves it out."
        return Diagnosis("mlflow", "fault", error.message, advice)
    count = len(found)
    return Diagnosis("mlflow", "ok", f"{shown} answers, {count} experiment{'s' * (count != 1)}")

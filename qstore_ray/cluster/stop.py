"""Ending the cluster, and removing everything that it leaves, however it ended."""

from __future__ import annotations

import shutil
import signal
from contextlib import suppress
from pathlib import Path

from qstore_ray.cluster.drivers import announce_end
from qstore_ray.cluster.processes import cluster_folder, is_supervised, members, send, wait_until
from qstore_ray.cluster.record import (
    LOG,
    RECORD,
    TOKEN,
    ClusterRecord,
    folder_locked,
    read_record,
)
from qstore_ray.errors import BackendError

_ORDERLY_SECONDS, _KILL_SECONDS = 20.0, 10.0


def stop_cluster() -> ClusterRecord | None:
    """End the cluster of this machine, all its processes and files; what it was.

    Trainings and searches that run on it save a checkpoint first, and can be resumed.

    None means that there was no cluster, or one whose record could not be read.

    Raises:
        BackendError: a process does not end, or a file cannot be removed.

    Examples:
        stop_cluster()
    """
    folder = cluster_folder()
    if not folder.exists():
        return None
    with folder_locked(folder):
        record = read_record(folder)
        if record is not None and is_supervised(record):
            announce_end(folder)
            send(record.pid, signal.SIGTERM)
            wait_until(lambda: not is_supervised(record), _ORDERLY_SECONDS)
        sweep(folder)
    return record


def sweep(folder: Path) -> None:
    """Kill what is left of the cluster of this folder, and remove its files.

    Raises:
        BackendError: a process does not end, or a file cannot be removed.
    """
    record = read_record(folder)
    try:
        if record is not None:
            _kill(record)
            if Path(record.temp_dir).exists():
                shutil.rmtree(record.temp_dir)
        # The record last: what it names is found again until it is removed.
        for name in (TOKEN, LOG, RECORD):
            (folder / name).unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):  # the clusters of other machines
            folder.parent.rmdir()
    except OSError as exc:
        raise BackendError(
            f"the files of the cluster cannot be removed: {exc.strerror or exc}",
            field="cluster",
            value=exc.filename or str(folder),
            fix="Remove them, and call stop_cluster() again.",
        ) from exc


def _kill(record: ClusterRecord) -> None:
    def killed() -> bool:
        left = members(record)  # asked again: one that is killed may have started another
        for process in left:
            send(process.pid, signal.SIGKILL)
        return not left

    if not wait_until(killed, _KILL_SECONDS):
        raise BackendError(
            "a process of the cluster does not end",
            field="cluster",
            value=members(record)[0].pid,
            fix="End it, and call stop_cluster() again.",
        )

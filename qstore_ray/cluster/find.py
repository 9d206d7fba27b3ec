"""Whether a cluster runs on this machine that this process can join."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from qstore_ray.cluster.processes import cluster_folder, is_supervised
from qstore_ray.cluster.record import (
    ClusterRecord,
    folder_locked,
    read_record,
    read_token,
    software,
)
from qstore_ray.cluster.stop import sweep
from qstore_ray.errors import BackendError

LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""Ray's setting for systems with a firewall: everything listens on 127.0.0.1 alone."""

WORKER_SETTINGS = {
    # Ray starts workers at niceness 15, behind its own services. Workers that add up at every step
    # wait for whichever was pushed aside: at 0, two of them are about a tenth faster.
    "RAY_worker_niceness": "0",
    # This machine is not preempted and Ray's own metrics are not read: two actors fewer to start.
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    # A worker imports them as it starts, before it has anything to do, while the driver imports
    # what it needs itself.
    "RAY_preload_python_modules": "qstore_ray.train.ray.workers",
    # Ray's processes count and time all that they do inside, for a table in their logs.
    "RAY_event_stats": "0",
    # Ray's coming default; without it every start prints a warning.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
"""Settings of Ray, of its processes and of those that join it, where we have started it."""


class FoundCluster(NamedTuple):
    """The record of a cluster that runs, and whether what a dead one had left was removed."""

    record: ClusterRecord | None
    was_stale: bool = False


def find_cluster() -> FoundCluster:
    """The cluster of this user that runs on this machine; what a dead one has left is removed.

    Examples:
        record, was_stale = find_cluster()
        assert record is None or record.address.startswith("127.0.0.1:")
    """
    folder = cluster_folder()
    if (record := _running(folder)) is not None:
        return FoundCluster(record)
    if not folder.exists():
        return FoundCluster(None)
    with folder_locked(folder):  # waits for one that starts, or stops
        return find_locked(folder)


def find_locked(folder: Path) -> FoundCluster:
    """As `find_cluster`, called by a process that has the folder locked."""
    if (record := _running(folder)) is not None:
        return FoundCluster(record)
    if not folder.exists():
        return FoundCluster(None)
    sweep(folder)
    return FoundCluster(None, was_stale=True)


def _running(folder: Path) -> ClusterRecord | None:
    record = read_record(folder)
    runs = record is not None and record.state == "running" and is_supervised(record)
    return record if runs else None


def check_software(record: ClusterRecord) -> None:
    """Check that this process has the versions of the cluster.

    Raises:
        BackendError: it has others.
    """
    theirs, ours = software(record), software()
    if theirs != ours:
        raise BackendError(
            f"the cluster of this machine has other software: {theirs}; here is {ours}",
            field="cluster",
            value=record.address,
            fix="Call stop_cluster(), or set cluster.address = 'local' to train without it.",
        )


def client_environment() -> dict[str, str]:
    """What Ray must find in the environment of a process that joins the cluster.

    Raises:
        BackendError: the token cannot be read.
    """
    token = warm_token()
    return {**WORKER_SETTINGS, **LOOPBACK, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token}


def warm_token() -> str:
    """The token of the warm cluster.

    Raises:
        BackendError: it cannot be read.
    """
    folder = cluster_folder()
    try:
        return read_token(folder)
    except OSError as exc:
        raise BackendError(
            f"the token of the cluster cannot be read: {exc.strerror or exc}",
            field="cluster",
            value=str(folder),
            fix="Call stop_cluster(), and start it again.",
        ) from exc

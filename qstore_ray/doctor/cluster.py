"""Whether Ray can be joined or started."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

from qstore_ray.cluster.address import host_and_port
from qstore_ray.cluster.find import check_software
from qstore_ray.cluster.processes import cluster_folder, is_supervised
from qstore_ray.cluster.record import read_record
from qstore_ray.doctor.diagnosis import Diagnosis
from qstore_ray.doctor.storage import written
from qstore_ray.errors import BackendError, ConfigError

_SECONDS = 5.0


def examine_cluster(address: str | None) -> Iterator[Diagnosis]:
    """The address of the cluster and its token; nothing is started or joined.

    Args:
        address: of a running cluster; None is `RAY_ADDRESS`, or else the warm cluster of this
            machine, or a Ray of our own.
    """
    source = "cluster.address" if address else "RAY_ADDRESS"
    address = address or os.environ.get("RAY_ADDRESS")
    if address == "local":
        yield Diagnosis("cluster", "ok", "a training starts a Ray of its own on this machine")
    elif address:
        yield _answers(address, source)
        yield _token()
    else:
        yield _warm()


def _warm() -> Diagnosis:
    """The cluster of this machine that a training would join; what a dead one has left is left."""
    record = read_record(cluster_folder())
    if record is None:
        return _can_start()
    if not is_supervised(record):
        return Diagnosis(
            "cluster", "note", "the warm cluster of this machine has died",
            "Call stop_cluster(), which removes what it has left.",
        )  # fmt: skip
    try:
        check_software(record)
    except BackendError as exc:
        return Diagnosis("cluster", "fault", exc.message, exc.fix)
    size = f"{record.nodes} node{'s' * (record.nodes != 1)}, {record.cpus} CPUs"
    return Diagnosis(
        "cluster", "ok", f"the warm cluster of this machine at {record.address}: {size}"
    )


def _can_start() -> Diagnosis:
    """Whether `start_cluster` could write its record, where no cluster is."""
    found = "none is named; a training starts a Ray of its own on this machine"
    there, refused = written(cluster_folder())
    if refused is None:
        return Diagnosis("cluster", "ok", found)
    return Diagnosis(
        "cluster", "note",
        f"{found}; a warm cluster cannot start: nothing can be written in {there}: "
        f"{refused.strerror or refused}",
        "Only for a warm cluster: export XDG_STATE_HOME=FOLDER, one that you may write to.",
    )  # fmt: skip


def _answers(address: str, source: str) -> Diagnosis:
    try:
        known = host_and_port(address, source)
    except ConfigError as error:
        return Diagnosis.of_error("cluster", error)
    if known is None:
        return Diagnosis("cluster", "ok", f"{source}={address}, which Ray looks up on this machine")
    try:
        with socket.create_connection(known, timeout=_SECONDS):
            pass
    except OSError as exc:
        return Diagnosis(
            "cluster", "fault", f"nothing answers at {source}={address}: {exc.strerror or exc}",
            "Start the cluster, correct the address, or leave it out to train on this machine.",
        )  # fmt: skip
    return Diagnosis("cluster", "ok", f"{source}={address} answers")


def _token() -> Diagnosis:
    """The token that Ray would send; see Ray's order: variable, path, file in the home folder."""
    if os.environ.get("RAY_AUTH_MODE") == "disabled":
        return Diagnosis(
            "token", "note", "RAY_AUTH_MODE=disabled: whoever reaches the cluster runs code on it",
            "export RAY_AUTH_MODE=token, and start the cluster with it.",
        )  # fmt: skip
    if os.environ.get("RAY_AUTH_TOKEN"):
        return Diagnosis("token", "ok", "of the variable RAY_AUTH_TOKEN")
    named = os.environ.get("RAY_AUTH_TOKEN_PATH")
    file = Path(named) if named else Path("~/.ray/auth_token").expanduser()
    if not file.is_file():
        return Diagnosis(
            "token", "note", f"there is none: neither RAY_AUTH_TOKEN nor {file}",
            "On the head: ray get-auth-token. Here: export RAY_AUTH_MODE=token RAY_AUTH_TOKEN=…",
        )  # fmt: skip
    if file.stat().st_mode & 0o077:
        return Diagnosis("token", "note", f"others can read {file}", f"chmod 600 {file}")
    return Diagnosis("token", "ok", f"of the file {file}")

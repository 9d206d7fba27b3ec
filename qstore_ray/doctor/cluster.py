"""Whether Ray can be joined or started."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

from qstore_ray.cluster.address import RAY_STATE, host_and_port
from qstore_ray.cluster.find import check_software
from qstore_ray.cluster.processes import cluster_folder, is_supervised
from qstore_ray.cluster.record import read_record
from qstore_ray.doctor.diagnosis import Diagnosis
from qstore_ray.doctor.storage import written
from qstore_ray.errors import BackendError, ConfigError

_SECONDS = 5.0
_ASK_HEAD = "On the head: ray get-auth-token. Here: export RAY_AUTH_MODE=token RAY_AUTH_TOKEN=…"
"""What to do about a token; the advice, and no secret."""


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
        return looked_up(address, source)
    if refused := _refused(known):
        return Diagnosis(
            "cluster", "fault", f"nothing answers at {source}={address}: {refused}",
            "Start the cluster, correct the address, or leave it out to train on this machine.",
        )  # fmt: skip
    return Diagnosis("cluster", "ok", f"{source}={address} answers")


def looked_up(address: str, source: str, state: Path = RAY_STATE) -> Diagnosis:
    """A name such as `auto`, for which Ray takes the address that the last `ray start` has left."""
    try:
        last = state.read_text(encoding="utf-8").strip()
        known = host_and_port(last, source)
    except (OSError, UnicodeDecodeError, ConfigError):  # anybody may write there
        known = None
    if address == "auto" and known is not None and (refused := _refused(known)):
        return Diagnosis(
            "cluster", "fault",
            f"{source}=auto leads to {last}, where nothing answers: {refused}",
            f"Start the cluster again, or delete {state} of the one that has ended.",
        )  # fmt: skip
    return Diagnosis("cluster", "ok", f"{source}={address}, which Ray looks up on this machine")


def _refused(place: tuple[str, int]) -> str:
    """Why nobody answers at a host and a port; empty if somebody does."""
    try:
        with socket.create_connection(place, timeout=_SECONDS):
            return ""
    except OSError as exc:
        return exc.strerror or str(exc) or type(exc).__name__


def _token() -> Diagnosis:
    """The token that Ray would send; see Ray's order: variable, path, file in the home folder."""
    if os.environ.get("RAY_AUTH_MODE") == "disabled":
        return Diagnosis(
            "token", "note", "RAY_AUTH_MODE=disabled: whoever reaches the cluster runs code on it",
            "export RAY_AUTH_MODE=token, and start the cluster with it.",
        )  # fmt: skip
    if given := os.environ.get("RAY_AUTH_TOKEN"):
        if given.strip():
            return Diagnosis("token", "ok", "of the variable RAY_AUTH_TOKEN")
        return Diagnosis("token", "fault", "RAY_AUTH_TOKEN holds nothing but blanks", _ASK_HEAD)
    named = os.environ.get("RAY_AUTH_TOKEN_PATH")
    file = Path(named) if named else Path("~/.ray/auth_token").expanduser()
    try:
        empty = not file.read_bytes().strip()
        mode = file.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        missing = f"there is none: neither RAY_AUTH_TOKEN nor {file}"
        return Diagnosis("token", "note", missing, _ASK_HEAD)
    except OSError as exc:
        reason = exc.strerror or type(exc).__name__
        return Diagnosis("token", "fault", f"cannot read {file}: {reason}", _ASK_HEAD)
    if empty:
        return Diagnosis("token", "fault", f"{file} is empty", _ASK_HEAD)
    if mode & 0o077:
        return Diagnosis("token", "note", f"others can read {file}", f"chmod 600 {file}")
    return Diagnosis("token", "ok", f"of the file {file}")

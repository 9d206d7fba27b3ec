"""What is known of the cluster of this user on this machine: a record and a token, in a folder.

The folder is `$XDG_STATE_HOME/qstore_ray/cluster/HOST`, or the same below `~/.local/state`. The
host is part of it because several machines may share a home folder; `processes.py` finds the folder
of a machine that has another name since.
"""

from __future__ import annotations

import fcntl
import json
import os
import platform
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import qstore_ray
from qstore_ray.errors import BackendError
from qstore_ray.files import expanded, parsed_json, unwritable_fix, write_durably

RECORD, TOKEN, LOG = "cluster.json", "token", "log.txt"

_BOOT, _FIRST = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/1/stat")


@dataclass(frozen=True, slots=True)
class ClusterRecord:
    """The cluster as its supervisor has started it; the token is not part of it.

    Attributes:
        address: of Ray, and `dashboard` of its pages; empty while it starts.
        pid: of the supervisor, whose session has all processes of the cluster. 0 before it runs.
        cpus: of all nodes together.
        object_store_mb: shared memory of a node, MiB.
        temp_dir: the folder of Ray's sockets and logs.
        code: the folder that qstore_ray was imported from.
        boot: which start of the machine or container it was; empty if the system does not say.
    """

    state: Literal["starting", "running", "ending"]
    address: str
    dashboard: str
    pid: int
    nodes: int
    cpus: int
    object_store_mb: int
    temp_dir: str
    ray: str
    python: str
    qstore_ray: str
    code: str
    boot: str


@dataclass(frozen=True, slots=True)
class Software:
    """What a process and the cluster that it joins must have in common."""

    ray: str
    python: str
    qstore_ray: str
    code: str

    def __str__(self) -> str:
        return f"Ray {self.ray}, Python {self.python}, qstore_ray {self.qstore_ray} in {self.code}"


def software(record: ClusterRecord | None = None) -> Software:
    """The versions that a cluster has, or those of this process."""
    if record is not None:
        return Software(record.ray, record.python, record.qstore_ray, record.code)
    return Software(
        version("ray"), platform.python_version(), qstore_ray.__version__, str(package_root())
    )


def package_root() -> Path:
    """The folder that has the package `qstore_ray`."""
    return Path(qstore_ray.__file__).resolve().parents[1]


def boot_id() -> str:
    """Which start of the machine, or of the container, this is; empty if the system does not say.

    A container that is started again has the kernel of before, and may give the same numbers to
    other processes; what it has not again is the time at which its first process began.
    """
    try:
        kernel = _BOOT.read_text(encoding="ascii").strip()
    except OSError:
        return ""
    try:
        first = _FIRST.read_text(encoding="utf-8", errors="replace")
    except OSError:  # the processes of other users are hidden
        return kernel
    return f"{kernel} {first.rpartition(')')[2].split()[19]}"


def state_folder() -> Path:
    """The folder of the record and the token of a cluster that is started now."""
    named = os.environ.get("XDG_STATE_HOME", "")
    root = Path(named) if os.path.isabs(named) else expanded("~/.local/state")  # noqa: PTH117
    return root / "qstore_ray" / "cluster" / socket.gethostname()


@contextmanager
def folder_locked(folder: Path) -> Iterator[None]:
    """Inside the block no other process starts or stops the cluster of this folder.

    Raises:
        BackendError: the folder cannot be made.
    """
    above = folder.parent
    try:
        above.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(above, os.O_RDONLY)
    except OSError as exc:
        raise _unwritable_error(above, exc) from exc
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of the folder itself, so that no file is left
        yield
    finally:
        os.close(lock)


def make_folder(folder: Path) -> str:
    """Make the folder, which no other user may enter, and the token in it; the token.

    Raises:
        BackendError: it cannot be written.
    """
    token = secrets.token_hex(32)
    try:
        folder.mkdir(exist_ok=True, mode=0o700)
        folder.chmod(0o700)
        file = os.open(folder / TOKEN, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(file, "w", encoding="ascii") as text:
            text.write(token)
    except OSError as exc:
        raise _unwritable_error(folder, exc) from exc
    return token


def read_token(folder: Path) -> str:
    """The token of the cluster.

    Raises:
        OSError: as the system says.
    """
    return (folder / TOKEN).read_text(encoding="ascii")


def read_record(folder: Path) -> ClusterRecord | None:
    """The record; None if there is none, or none that can be read."""
    try:
        return ClusterRecord(**parsed_json((folder / RECORD).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def write_record(folder: Path, record: ClusterRecord) -> None:
    """Write the record, whole or not at all.

    Raises:
        BackendError: it cannot be written.
    """
    try:
        write_durably(folder / RECORD, json.dumps(asdict(record)).encode())
    except OSError as exc:
        raise _unwritable_error(folder, exc) from exc


def _unwritable_error(folder: Path, exc: OSError) -> BackendError:
    return BackendError(
        f"the record of the cluster cannot be written: {exc.strerror or exc}",
        field="XDG_STATE_HOME",
        value=str(folder),
        fix=unwritable_fix(exc),
    )

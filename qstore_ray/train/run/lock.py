"""The lock of a run's or a study's folder: held for as long as an attempt's process lives.

The lock file holds the process, the time and the machine, for the error that another attempt gets.
"""

from __future__ import annotations

import fcntl
import os
import re
import socket
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Literal, TypeAlias

from qstore_ray.errors import RunExistsError
from qstore_ray.storage.address import origin_of
from qstore_ray.storage.cloud import open_objects
from qstore_ray.storage.lease import is_leased, lease_error

LOCK = ".lock"

Kind: TypeAlias = Literal["run", "study"]


def lock_folder(path: Path, kind: Kind = "run") -> IO[str]:
    """Lock a folder for as long as the file stays open and this process lives.

    Args:
        kind: what the folder holds, as the error names it.

    Raises:
        RunExistsError: another process holds the lock; the error is `locked`.
    """
    lock = (path / LOCK).open("a+")  # not "w": that empties a file that another process holds
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        lock.close()
        raise held_error(path, kind) from exc
    since = datetime.now(UTC).isoformat(" ", "seconds").removesuffix("+00:00")
    with suppress(OSError):  # a full disk; the lock holds without its text
        lock.truncate(0)
        lock.write(f"{os.getpid()} {since} {socket.gethostname()}\n")
        lock.flush()
    return lock


def is_held(path: Path) -> bool:
    """Whether an attempt has the run's folder locked, or its lease on another machine."""
    if is_locked_here(path):
        return True
    address = origin_of(path)
    return address is not None and is_leased(open_objects(address))


def is_locked_here(path: Path) -> bool:
    """Whether a process that sees the same file system has the folder locked."""
    try:
        with (path / LOCK).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:  # held, or not ours to ask
        return True
    return False


def held_error(path: Path, kind: Kind) -> RunExistsError:
    """The error for a folder that an attempt has locked, with what the lock says about it."""
    address = origin_of(path)
    if address is not None and not is_locked_here(path):
        return lease_error(open_objects(address), path.name, kind)
    try:
        text = (path / LOCK).read_text(encoding="utf-8")
    except OSError:
        text = ""
    return RunExistsError.while_open(kind, path.name, _holder(text))


def _holder(text: str) -> str:
    """Which process has a lock of this text, in words; empty if it does not say."""
    found = re.fullmatch(r"(\d+) (\S+ \S+) (\S+)\n", text)
    if found is None:
        return ""
    pid, since, host = found.groups()
    if (int(pid), host) == (os.getpid(), socket.gethostname()):
        return f"this process itself, since {since} UTC,"
    return f"another process, {pid} on {host} since {since} UTC,"

"""The lock of a ledger: one gateway writes it, for as long as its process lives.

The lock file holds process and machine, for the error that a second gateway gets.
"""

from __future__ import annotations

import fcntl
import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import IO

from qstore_ray.errors import LedgerError

LOCK = ".lock"


def lock_ledger(folder: Path) -> IO[str]:
    """Lock a ledger for as long as the file stays open and this process lives.

    Raises:
        LedgerError: another process holds the lock; the error is `locked`.
        OSError: as the system says.
    """
    lock = (folder / LOCK).open("a+", encoding="utf-8")  # not "w": that empties the holder's file
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        lock.close()
        raise _locked_error(folder) from exc
    with suppress(OSError):  # a full disk; the lock holds without its text
        lock.truncate(0)
        lock.write(f"{os.getpid()} {socket.gethostname()}\n")
        lock.flush()
    return lock


def _locked_error(folder: Path) -> LedgerError:
    try:
        pid, host = (folder / LOCK).read_text(encoding="utf-8").split()
        holder = f"process {pid} on {host}"
    except (OSError, ValueError):
        holder = "another process"
    error = LedgerError(
        f"{holder} has this ledger open",
        field="ledger",
        value=str(folder),
        fix="A ledger has one gateway. Use the one that runs, or stop it first.",
    )
    error.locked = True
    return error

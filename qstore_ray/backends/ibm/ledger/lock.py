"""The lock of a ledger: one gateway writes it, for as long as its process lives.

The lock file holds process and machine, for the error that a second gateway gets. A gateway that is
started again may wait: the process before it may live for some seconds after it was given up.
"""

from __future__ import annotations

import fcntl
import os
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

from qstore_ray.errors import LedgerError

LOCK = ".lock"
_PAUSE = 0.05


def lock_ledger(folder: Path, wait: float = 0.0) -> IO[str]:
    """Lock a ledger for as long as the file stays open and this process lives.

    Args:
        wait: seconds to wait for another process to release it.

    Raises:
        LedgerError: another process holds the lock; the error is `locked`.
        OSError: as the system says.
    """
    until = time.monotonic() + wait
    lock = (folder / LOCK).open("a+", encoding="utf-8")  # not "w": that empties the holder's file
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError as exc:
            if time.monotonic() >= until:
                lock.close()
                raise _locked_error(folder) from exc
        time.sleep(_PAUSE)
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

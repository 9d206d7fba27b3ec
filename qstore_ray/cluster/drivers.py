"""The drivers that have joined the cluster, and how they learn that it is going to end.

Ray ends a driver whose cluster is gone with exit code 1 and no error, at once or after a minute. So
the end is announced: the state in the record becomes "ending", each driver saves a checkpoint and
leaves, and only then do the processes of Ray end. A driver keeps a file in the folder `drivers`
locked while it is there, which the system unlocks however the driver ends.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from qstore_ray.cluster.processes import wait_until
from qstore_ray.cluster.record import read_record, write_record

_DRIVERS: Final = "drivers"
_LOOK: Final = 0.2
_LEAVE_SECONDS: Final = 20.0


@contextmanager
def joined_driver(folder: Path, ends: Callable[[], object]) -> Iterator[None]:
    """This process is a driver of the cluster inside the block.

    Args:
        folder: of the cluster.
        ends: called once, in another thread, when the end of the cluster is announced.
    """
    left = threading.Event()

    def look() -> None:
        while not left.wait(_LOOK):
            record = read_record(folder)
            if record is not None and record.state == "ending":
                ends()
                return

    path = folder / _DRIVERS / f"{os.getpid()}-{threading.get_ident()}"
    file = None
    with suppress(OSError):  # the cluster was stopped just now; joining it says so
        path.parent.mkdir(exist_ok=True, mode=0o700)
        file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        fcntl.flock(file, fcntl.LOCK_EX)
    thread = threading.Thread(target=look, name="qstore_ray-cluster-end", daemon=True)
    thread.start()
    try:
        yield
    finally:
        left.set()
        thread.join(_LEAVE_SECONDS)  # it only reads: nothing is lost if a disk keeps it
        if file is not None:
            path.unlink(missing_ok=True)
            os.close(file)


def announce_end(folder: Path) -> None:
    """Announce the end of the cluster, and wait until its drivers have left it, for 20 s at most.

    Raises:
        BackendError: the record cannot be written.
    """
    record = read_record(folder)
    if record is None or not _are_there(folder):
        return
    write_record(folder, replace(record, state="ending"))
    wait_until(lambda: not _are_there(folder), _LEAVE_SECONDS)


def _are_there(folder: Path) -> bool:
    """Whether a driver that lives has joined."""
    try:
        paths = [*(folder / _DRIVERS).iterdir()]
    except FileNotFoundError:
        return False
    return any(map(_is_locked, paths))


def _is_locked(path: Path) -> bool:
    try:
        file = os.open(path, os.O_WRONLY)
    except FileNotFoundError:  # it has left just now
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False

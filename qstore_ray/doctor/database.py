"""Whether a sqlite database can be read and written now, and which processes keep others from it.

Whoever holds a lock makes everybody else wait, five seconds each time by default, and then fail;
MLflow and Optuna ask several times, so that a lock looks like a server that hangs.

Nothing is locked here but for the moment of reading. To take the lock of a writer as a trial would
make a transaction fail that has read and is about to write: SQLite does not let it wait.
"""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from urllib.parse import quote

from qstore_ray.doctor.diagnosis import Diagnosis

WAIT_SECONDS = 5.0
"""For how long whoever writes may keep others waiting; the default of Python's driver."""
_LOCKS = Path("/proc/locks")
_POLL_SECONDS = 0.05


def locked_finding(name: str, file: Path) -> Diagnosis | None:
    """The fault that another process has locked a database against reading, or against writing;
    None for one that is free, whatever else may be wrong with it.

    Whether another process is writing is known on Linux alone.

    Args:
        name: of the finding.
    """
    if _is_closed_to_readers(file):
        return _fault(name, file, "reading")
    ends = time.monotonic() + WAIT_SECONDS
    while lockers(file):
        if time.monotonic() > ends:
            return _fault(name, file, "writing")
        time.sleep(_POLL_SECONDS)
    return None


def lockers(file: Path, locks: Path = _LOCKS) -> list[int]:
    """The processes of this machine that hold a lock for writing on a file, as Linux lists them."""
    try:
        lines = locks.read_text(encoding="ascii", errors="replace").splitlines()
        inode = str(file.stat().st_ino)
    except OSError:  # not Linux, or the file is gone
        return []
    found = [line.split() for line in lines if "->" not in line]  # without those that wait
    held = {
        int(words[4])
        for words in found
        if len(words) == 8 and words[3] == "WRITE" and words[5].rpartition(":")[2] == inode
    }
    return sorted(pid for pid in held if pid > 0)


def _is_closed_to_readers(file: Path) -> bool:
    """Whether a reader is kept waiting until it gives up."""
    address = f"file:{quote(str(file))}?mode=ro"
    try:
        connection = sqlite3.connect(address, uri=True, timeout=WAIT_SECONDS)
    except sqlite3.Error:  # no such file, or not ours: who opens it says so
        return False
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error as exc:
        code: int = getattr(exc, "sqlite_errorcode", 0)
        return code & 0xFF == sqlite3.SQLITE_BUSY  # read-only, damaged or no database else
    finally:
        connection.close()
    return False


def _fault(name: str, file: Path, what: str) -> Diagnosis:
    processes = lockers(file)
    by = f"process {', '.join(map(str, processes))}" if processes else "another process"
    return Diagnosis(
        name, "fault", f"{file} is locked against {what} for {WAIT_SECONDS:g} s by {by}",
        "End that process if it hangs; until then, what others record there fails.",
    )  # fmt: skip

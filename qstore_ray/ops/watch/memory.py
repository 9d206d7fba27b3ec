"""What the process of a run, and those that it has started, take of this machine's memory; and for
how long it has been running.

Anonymous memory is counted (`RssAnon` of Linux): a leak grows there, and the shared object store of
Ray is not in it. Workers in a cluster that was joined are no children of the driver; Ray exports
their memory. On other systems nothing is known.
"""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Iterable
from pathlib import Path

from qstore_ray.train.run.lock import LOCK

_PROC = Path("/proc")
_HOLDER = re.compile(r"(\d+) \S+ \S+ (\S+)\n")


def holder_of(run_dir: Path) -> int | None:
    """The process on this machine whose attempt wrote the lock of a run folder; None if another
    machine's, or none, did.
    """
    try:
        found = _HOLDER.fullmatch((run_dir / LOCK).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return None
    return int(found[1]) if found and found[2] == socket.gethostname() else None


def age_of(pid: int, proc: Path = _PROC) -> float | None:
    """Seconds for which a process has been running, by a clock that nobody sets; None if it is not
    known.
    """
    try:
        found = (proc / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:  # it has ended, or this is not Linux
        return None
    # The second field is the name of the program in brackets, which may hold anything.
    began = int(found.rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - began
    return age if age >= 0.0 else None


def tree_memory(pids: Iterable[int], proc: Path = _PROC) -> dict[int, float]:
    """Process → MiB of anonymous memory that it and its descendants take; without dead ones."""
    sizes, children = _processes(proc)
    return {pid: _sum(pid, sizes, children) / 1024.0 for pid in pids if pid in sizes}


def _processes(proc: Path) -> tuple[dict[int, int], dict[int, list[int]]]:
    """Process → KiB, and process → its children."""
    sizes: dict[int, int] = {}
    children: dict[int, list[int]] = {}
    for folder in proc.glob("[0-9]*"):
        try:
            status = (folder / "status").read_text(encoding="utf-8", errors="replace")
        except OSError:  # it has ended
            continue
        parent, size = _number(status, "PPid"), _number(status, "RssAnon")
        sizes[int(folder.name)] = size
        children.setdefault(parent, []).append(int(folder.name))
    return sizes, children


def _number(status: str, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+)", status, re.MULTILINE)
    return int(found[1]) if found else 0


def _sum(pid: int, sizes: dict[int, int], children: dict[int, list[int]]) -> int:
    total, waiting = 0, [pid]
    while waiting:
        process = waiting.pop()
        total += sizes.get(process, 0)
        waiting += children.get(process, ())
    return total

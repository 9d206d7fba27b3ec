"""The processes of this machine, and which of them belong to the cluster."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from qstore_ray.cluster.record import ClusterRecord, boot_id, read_record, state_folder

SUPERVISOR = "qstore_ray.cluster.supervisor"

_PROC = Path("/proc")
_POLL_SECONDS = 0.05
_PS_SECONDS = 60.0
"""For ps, which takes milliseconds."""


class Process(NamedTuple):
    """A process: its number, its session, and its command line."""

    pid: int
    session: int
    command: str


def processes() -> Iterator[Process]:
    """All processes that have a command line; one that has ended has none."""
    for pid, command in _listed():
        with suppress(ProcessLookupError, PermissionError):
            if command:
                yield Process(pid, os.getsid(pid), command)


def cluster_folder() -> Path:
    """The folder of the cluster of this user on this machine; it exists while there is one.

    It is that of this host's name, or of the name that the host had when the cluster was started:
    a laptop may get another name in another network.
    """
    folder = state_folder()
    if folder.exists() or not folder.parent.is_dir():
        return folder
    others = sorted(each for each in _readable(folder.parent) if _is_here(read_record(each)))
    return others[0] if others else folder


def is_supervised(record: ClusterRecord) -> bool:
    """Whether the supervisor of the cluster lives; another process may have its number."""
    return any(found.pid == record.pid and _supervises(found, record) for found in processes())


def members(record: ClusterRecord) -> list[Process]:
    """The processes of the cluster: all of the supervisor's session, and all of Ray's folder."""
    found = [each for each in processes() if each.pid != os.getpid()]
    leaders = [each for each in found if each.pid == record.pid]
    # A number is given to others after a restart, or once all of a session have ended.
    ours = (
        record.pid > 0
        and record.boot == boot_id()
        and all(_supervises(each, record) for each in leaders)
    )
    return [
        each for each in found if (ours and each.session == record.pid) or _works_in(each, record)
    ]


def wait_until(true: Callable[[], bool], seconds: float) -> bool:
    """Wait so long at most until it is true; whether it is."""
    deadline = time.monotonic() + seconds
    while not (done := true()) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    return done


def send(pid: int, number: signal.Signals) -> None:
    """Send a signal to a process, unless it has ended."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _readable(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:  # what starts or stops a cluster there says so
        return []


def _is_here(record: ClusterRecord | None) -> bool:
    """Whether it is of this machine: its supervisor runs here, or ran here since the start."""
    if record is None:
        return False
    return (record.boot != "" and record.boot == boot_id()) or is_supervised(record)


def _supervises(process: Process, record: ClusterRecord) -> bool:
    """Whether it is the supervisor of this cluster: another user may have one, too."""
    return SUPERVISOR in process.command.split(" ") and _works_in(process, record)


def _works_in(process: Process, record: ClusterRecord) -> bool:
    """Whether its command line names the cluster's folder, which no other cluster ever has."""
    return f"{record.temp_dir}/" in process.command


def _listed() -> Iterator[tuple[int, str]]:
    if not (_PROC / "self").exists():
        command = ["/bin/ps", "-A", "-ww", "-o", "pid=", "-o", "command="]  # whole lines
        listed = subprocess.run(  # noqa: S603 - its arguments are ours
            command, capture_output=True, text=True, check=True, timeout=_PS_SECONDS
        )
        for line in listed.stdout.splitlines():
            pid, _, words = line.strip().partition(" ")
            yield int(pid), words
        return
    for folder in _PROC.iterdir():
        if folder.name.isdigit():
            with suppress(OSError):  # it has ended meanwhile
                typed = (folder / "cmdline").read_bytes().replace(b"\0", b" ")
                yield int(folder.name), typed.decode(errors="replace").strip()

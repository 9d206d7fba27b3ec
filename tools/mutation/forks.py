"""Functions in forks of this process: limited, and what ended each is known.

A mutant may loop, allocate or wait without end, crash in C, or start processes and leave them. So a
fork is limited in CPU seconds, and in the seconds that it sleeps: the clock would also count the
time in which a busy machine lets it wait for a processor. It ends when this process ends.
"""

from __future__ import annotations

import ctypes
import enum
import faulthandler
import json
import math
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MOST_SLEEP = 120.0
"""Seconds in which no thread of a fork runs or could run, after which it is ended."""
_BROKEN = 97  # exit code of a fork whose own bookkeeping failed
_CRASHES = {signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL}
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


class Fate(enum.Enum):
    """What became of a fork."""

    ANSWERED = enum.auto()
    LATE = enum.auto()
    """It used up its CPU seconds."""
    ASLEEP = enum.auto()
    """It waited forever."""
    CRASHED = enum.auto()
    """It exited before its function returned, or by a signal of its own, such as SIGSEGV."""
    LOST = enum.auto()
    """Something outside ended it, such as the kernel for want of memory, or a full disk."""


@dataclass(frozen=True)
class Fork:
    """One running fork: what it is for, where it writes, since when."""

    name: str
    folder: Path
    since: float


@dataclass(frozen=True)
class Ended:
    """What a fork left: its answer (None if there is none), its CPU seconds, and its fate."""

    name: str
    answer: dict[str, Any] | None
    cpu: float
    fate: Fate

    @property
    def is_late(self) -> bool:
        """Whether it would have gone on for longer than its limits."""
        return self.fate in {Fate.LATE, Fate.ASLEEP}


def limit_cpu(seconds: float) -> None:
    """End this process once it has used so many more CPU seconds."""
    limit = math.ceil(seconds + time.process_time())
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 2))


def end_with_parent(number: int = signal.SIGKILL) -> None:
    """Have the kernel send this process a signal when the one that started it ends."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)


def sleeping_seconds(pid: int, seconds: float) -> float:
    """How many of the last `seconds` no thread of the session `pid`, so old, ran or could run.

    0 if one can run now: the kernel counts the time that it waits for a processor afterwards.
    """
    active = 0.0
    for thread in Path("/proc").glob("[0-9]*/task/*"):
        with suppress(FileNotFoundError, ProcessLookupError):  # ended since
            state, _, _, session, *_ = (thread / "stat").read_text().rpartition(") ")[2].split()
            if int(session) == pid:
                if state == "R":
                    return 0.0
                running, waiting, _ = map(int, (thread / "schedstat").read_text().split())
                active = max(active, (running + waiting) / 1e9)
    return seconds - active


class Forks:
    """Runs functions in forks of this process, a few at a time."""

    def __init__(self, folder: Path, processes: int, most_sleep: float = MOST_SLEEP) -> None:
        self._folder = folder
        self._processes = processes
        self._most_sleep = most_sleep
        self._number = 0
        self._looked = 0.0
        self._running: dict[int, Fork] = {}
        self._asleep: set[int] = set()

    def run(self, work: Iterable[tuple[str, Callable[[], dict[str, Any]]]]) -> Iterator[Ended]:
        """Yield what each of the named functions returned, in the order in which they end."""
        for name, function in work:
            while len(self._running) >= self._processes:
                yield self._wait()
            self._number += 1
            self._start(name, function, self._folder / str(self._number))
        while self._running:
            yield self._wait()

    def _start(self, name: str, function: Callable[[], dict[str, Any]], folder: Path) -> None:
        folder.mkdir(parents=True)
        pid = os.fork()
        if pid == 0:
            code = _BROKEN
            try:
                end_with_parent()
                faulthandler.disable()  # it would write of each crash to pytest's own output
                os.setsid()
                os.environ["PYTEST_DEBUG_TEMPROOT"] = os.environ["TMPDIR"] = str(folder)
                tempfile.tempdir = None
                null = os.open(os.devnull, os.O_RDWR)
                os.dup2(null, 1)
                os.dup2(null, 2)
                answer = json.dumps(function())
                (folder / "answer.part").write_text(answer)
                (folder / "answer.part").rename(folder / "answer")
                code = 0
            finally:
                os._exit(code)
        self._running[pid] = Fork(name, folder, time.monotonic())

    def _wait(self) -> Ended:
        while True:
            pid, status, usage = os.wait4(-1, os.WNOHANG)
            if pid in self._running:
                break
            if not pid:
                self._end_sleepers()
                time.sleep(0.01)
        fork = self._running.pop(pid)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)  # what the test started and left
        answer = fork.folder / "answer"
        found = json.loads(answer.read_text()) if answer.exists() else None
        shutil.rmtree(fork.folder, ignore_errors=True)
        cpu = usage.ru_utime + usage.ru_stime
        fate = Fate.ANSWERED if found is not None else self._fate(pid, status)
        self._asleep.discard(pid)
        return Ended(fork.name, found, cpu, fate)

    def _fate(self, pid: int, status: int) -> Fate:
        """Why a fork has left no answer."""
        if os.WIFEXITED(status):
            return Fate.LOST if os.WEXITSTATUS(status) == _BROKEN else Fate.CRASHED
        number = os.WTERMSIG(status)
        if pid in self._asleep:
            return Fate.ASLEEP
        if number == signal.SIGXCPU:
            return Fate.LATE
        return Fate.CRASHED if number in _CRASHES else Fate.LOST

    def _end_sleepers(self) -> None:
        now = time.monotonic()
        if now < self._looked + min(1.0, self._most_sleep / 4):
            return
        self._looked = now
        for pid, fork in self._running.items():
            seconds = now - fork.since
            if seconds > self._most_sleep and sleeping_seconds(pid, seconds) > self._most_sleep:
                self._asleep.add(pid)
                os.kill(pid, signal.SIGKILL)

    def end(self) -> None:
        """End what still runs, after an interruption."""
        for pid in self._running:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
        sys.stdout.flush()

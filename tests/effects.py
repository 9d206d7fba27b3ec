"""Seeing what a process does to the files of a folder, and killing it there, or filling the disk.

An effect is whatever a killed process leaves behind: a file opened for writing, written to,
renamed, cut or deleted, a folder made or deleted. The interpreter announces most of them to audit
hooks, which cannot be got round and cannot be taken off again: so a process watches once, or dies.
"""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

WRITING = os.O_WRONLY | os.O_RDWR


class Effect(NamedTuple):
    """What happens to which file, relative to the storage, for which time."""

    kind: str
    path: str
    number: int


class Watch:
    """Sees every effect below a folder before it happens, in all threads.

    Args:
        at: where to intervene.
        how: `kill` before it, in the middle of it (`half`: of a write's bytes, half are written),
            or let the disk be `full` from there on: half is written, then nothing any more.
    """

    def __init__(self, folder: Path, at: Effect | None = None, how: str = "kill") -> None:
        self.seen: list[Effect] = []
        self.full = False
        self._folder, self._at, self._how = str(folder), at, how
        self._counts: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()
        self._open, self._write = io.open, os.write
        io.open, os.write = self._opened, self._written  # type: ignore[assignment]
        sys.addaudithook(self._audit)

    def meets(self, kind: str, path: Any, data: bytes = b"", descriptor: int = -1) -> None:
        """An effect is about to happen."""
        name = _opened_as(path) if isinstance(path, int) else os.fspath(path)
        if not name.startswith(self._folder + "/"):
            return
        name = name.removeprefix(self._folder + "/").replace(str(os.getpid()), "PID")
        with self._lock:
            self._counts[kind, name] += 1
            effect = Effect(kind, name, self._counts[kind, name])
            self.seen.append(effect)
            if effect == self._at:
                if self._how != "kill" and data:
                    self._write(descriptor, data[: len(data) // 2])
                if self._how != "full":
                    os.kill(os.getpid(), signal.SIGKILL)
                self.full = True
            if self.full and kind in ("open", "write", "mkdir"):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), name)

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        """What the interpreter announces: it cannot be got round, but writes are not in it."""
        if event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING:
            if not isinstance(arguments[0], int):
                self.meets("open", arguments[0])
        elif event in ("os.mkdir", "os.rmdir", "os.remove"):
            self.meets(event.removeprefix("os."), _below(arguments[0], arguments[-1]))
        elif event == "os.rename":
            self.meets("rename", arguments[1])
        elif event == "os.truncate":
            self.meets("truncate", arguments[0])

    def _written(self, descriptor: int, data: bytes) -> int:
        self.meets("write", descriptor, bytes(data), descriptor)
        return self._write(descriptor, data)

    def _opened(self, file: Any, mode: str = "r", *rest: Any, **more: Any) -> Any:
        if mode != "wb" or isinstance(file, int):
            return self._open(file, mode, *rest, **more)
        return io.BufferedWriter(_File(file, self))


class _File(io.FileIO):
    """A file whose writes are seen."""

    def __init__(self, path: Any, watch: Watch) -> None:
        super().__init__(path, "wb")
        self._watch = watch

    def write(self, data: Any) -> int:
        self._watch.meets("write", self.fileno(), bytes(data), self.fileno())
        return super().write(data)


def _below(path: Any, folder: int) -> str:
    """A path given relative to an open folder, as `shutil.rmtree` does, from the root."""
    name = os.fspath(path)
    return name if folder == -1 else f"{_opened_as(folder)}/{name}"


def _opened_as(descriptor: int) -> str:
    return str(Path(f"/proc/self/fd/{descriptor}").readlink())

"""Run folders that a test writes itself, record by record."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

RECORD = {
    "generation": 1, "status": "running", "started": "2026-01-01T00:00:00+00:00",
    "fingerprints": {}, "versions": {},
}  # fmt: skip


class WrittenRun:
    """A run folder; `add` appends records to its metrics file."""

    def __init__(self, path: Path, status: str = "running", **more: Any) -> None:
        self.path = path
        path.mkdir(parents=True)
        record = {**RECORD, "status": status, "id": f"{path.name}-000000000000", **more}
        (path / "run.json").write_text(json.dumps(record))

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    def add(self, *records: dict[str, Any]) -> None:
        self.write("".join(json.dumps(record) + "\n" for record in records))

    def write(self, text: str) -> None:
        with self.metrics.open("a") as file:
            file.write(text)

    def start(self, epochs: int = 100) -> None:
        self.add({"event": "start", "generation": 1, "epochs": epochs})

    def steps(self, losses: list[float], first: int = 0) -> None:
        self.add(*(
            {"event": "step", "epoch": 0, "step": first + n, "loss": loss}
            for n, loss in enumerate(losses)
        ))  # fmt: skip

    @contextmanager
    def held(self, pid: int | None = None) -> Iterator[None]:
        """While a process has the run open, as its lock says."""
        with (self.path / ".lock").open("a+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            lock.truncate(0)
            lock.write(f"{pid or os.getpid()} 2026-01-01 00:00:00 {socket.gethostname()}\n")
            lock.flush()
            yield

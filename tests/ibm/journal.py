"""What happened on the service's side, append-only: the truth that a client's own books must match.

Each entry is a JSON object a line with "event" and "at" (service time). Events of a job: accepted
(tags, session, body: a hash of the submitted program, executions), started, completed (seconds),
failed (code, reason), cancelled (by), result_read, deleted, tagged. Events of a session: opened,
closed. Others: refused (kind, status), answer_lost (kind: the effect took place, and the client did
not learn of it), raw_key (a request carried the API key itself), fault.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ENDS = ("completed", "failed", "cancelled")


class Journal:
    """Entries in memory, and in a file if `path` is given."""

    def __init__(self, path: str | None) -> None:
        self.entries: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        self._file = Path(path).open("a", encoding="utf-8") if path else None  # noqa: SIM115

    def write(self, at: float, event: str, **fields: Any) -> None:
        """Append an entry; it is in the file before the request is answered."""
        entry = {"at": round(at, 6), "event": event, **fields}
        with self._lock:
            self.entries.append(entry)
            if self._file is not None:
                self._file.write(json.dumps(entry) + "\n")
                self._file.flush()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


@dataclass
class JobEntry:
    """What a journal says about one job."""

    tags: list[str] = field(default_factory=list)
    body: str = ""
    executions: int = 0
    end: str | None = None
    reads: int = 0
    seconds: float = 0.0


def read_journal(path: Path) -> list[dict[str, Any]]:
    """The entries of a journal file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def jobs_of(entries: Iterable[dict[str, Any]]) -> dict[str, JobEntry]:
    """The accepted jobs by id: their tags, how they ended and how often their result was read."""
    jobs: dict[str, JobEntry] = {}
    for entry in entries:
        job = entry.get("job")
        if entry["event"] == "accepted":
            jobs[job] = JobEntry(entry["tags"], entry["body"], entry["executions"])
        elif entry["event"] in ENDS:
            jobs[job].end = entry["event"]
            jobs[job].seconds = entry.get("seconds", 0.0)
        elif entry["event"] == "result_read":
            jobs[job].reads += 1
    return jobs


def lost(jobs: dict[str, JobEntry]) -> list[str]:
    """The jobs that were paid for and whose result nobody has read."""
    return [name for name, job in jobs.items() if job.end == "completed" and not job.reads]


def open_jobs(jobs: dict[str, JobEntry]) -> list[str]:
    """The accepted jobs that have not ended."""
    return [name for name, job in jobs.items() if job.end is None]

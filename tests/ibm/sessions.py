"""A session or batch of the service: when it opens, idles, ends, and what is billed for it.

A dedicated session is billed by the clock, from its first job until it is idle for `INTERACTIVE`
seconds or ends. A batch is billed by its jobs. `max_ttl` counts from the first job on.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.ibm.clock import iso

INTERACTIVE = 60.0
UNUSED = 1800.0
"""A session without a job for this long is closed."""
LONGEST = 8 * 3600
LONGEST_OPEN_BATCH = 600


@dataclass(eq=False)
class WorkSession:
    """One session or batch; moments are in service time."""

    id: str
    backend: str
    mode: str
    max_ttl: float
    created: float
    accepting: bool = True
    started: float | None = None
    active_since: float | None = None
    last_started: float | None = None
    last_completed: float | None = None
    closed: float | None = None
    billed: float = 0.0
    timestamps: list[dict[str, Any]] = field(default_factory=list)

    def start_job(self, now: float) -> None:
        """A job of it begins to run."""
        self.last_started = now
        if self.started is None:
            self.started = now
        if self.active_since is None:
            self.active_since = now
            self._note("active", now)

    def end_job(self, now: float) -> None:
        """A job of it has ended."""
        self.last_completed = now

    def refresh(self, now: float, pending: int) -> None:
        """Bring its state up to `now`, with `pending` jobs queued or running."""
        if self.closed is not None:
            return
        used = max(self.last_completed or self.created, self.created)
        if self.started is not None and now >= self.started + self.max_ttl:
            self.close(self.started + self.max_ttl)
        elif pending:
            return
        elif not self.accepting:
            self.close(used if self.started is not None else now)
        elif now >= used + UNUSED:
            self._deactivate(used + INTERACTIVE)
            self.close(used + UNUSED)
        elif now >= used + INTERACTIVE:
            self._deactivate(used + INTERACTIVE)

    def close(self, at: float) -> None:
        """End it at the moment `at`."""
        self._deactivate(at)
        self.accepting = False
        self.closed = at
        self._note("closed", at)

    def wall_clock(self, now: float) -> float:
        """Seconds it was active until `now`."""
        active = 0.0 if self.active_since is None else max(now - self.active_since, 0.0)
        return self.billed + active

    def describe(self, now: float, elapsed: float) -> dict[str, Any]:
        """The answer to GET /sessions/{id}."""
        state = "active" if self.active_since is not None else "inactive"
        if self.started is None:
            state = "open"
        if self.closed is not None:
            state = "closed"
        return {
            "id": self.id,
            "backend_name": self.backend,
            "mode": self.mode,
            "state": state,
            "accepting_jobs": self.accepting,
            "interactive_ttl": INTERACTIVE,
            "max_ttl": self.max_ttl,
            "active_ttl": None if self.started is None else self.started + self.max_ttl - now,
            "elapsed_time": elapsed,
            "started_at": iso(self.started),
            "activated_at": iso(self.active_since),
            "closed_at": iso(self.closed),
            "last_job_started": iso(self.last_started),
            "last_job_completed": iso(self.last_completed),
            "timestamps": self.timestamps,
        }

    def _deactivate(self, at: float) -> None:
        if self.active_since is not None:
            self.billed += max(at - self.active_since, 0.0)
            self.active_since = None
            self._note("inactive", at)

    def _note(self, status: str, at: float) -> None:
        self.timestamps.append({"status": status, "timestamp": iso(at)})

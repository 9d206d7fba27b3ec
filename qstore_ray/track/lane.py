"""One tracker's thread, and the list of records that it still has to take."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait

from qstore_ray.track.base import Outcome, Record, RunInfo, Tracker
from qstore_ray.track.logs.logging import announce
from qstore_ray.track.switch_interval import short_turns

RETRY_SECONDS = 30.0
_SILENT_SECONDS = 3.0
_KEPT = "the run folder keeps all that it misses"


class Lane:
    """One tracker, its thread, and the records it still has to take.

    Errors are read from the futures instead of being caught: every error that a tracker raises
    becomes a failure with the tracker's name, and the other trackers continue.
    """

    def __init__(
        self,
        tracker: Tracker,
        run: RunInfo,
        retry_seconds: float,
        failed: Callable[[str, BaseException], None],
    ) -> None:
        self.name = tracker.name
        self.complete = False
        self._tracker = tracker
        self._run = run
        self._retry_seconds = retry_seconds
        self._failed = failed
        self._records: list[Record] = []
        self._sent = 0
        self._started = False
        self._not_before = 0.0
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=f"track-{tracker.name}")
        self._pending: Future[None] | None = None

    def offer(self, record: Record) -> None:
        """Put a record at the end of the list."""
        self._records.append(record)

    def pump(self) -> None:
        """Look after the call that is under way, and begin the next one; never waits."""
        if self._pending is not None and self._pending.done():
            self._settle()
        behind = not self._started or self._sent < len(self._records)
        if self._pending is None and behind and time.monotonic() >= self._not_before:
            self._pending = self._pool.submit(self._catch_up)

    def close(self, outcome: Outcome) -> None:
        """Send what is left and finish the tracker; waits for its thread."""
        self._settle()
        self._pending = self._pool.submit(self._catch_up)
        self._settle()
        if self._started:
            self._pending = self._pool.submit(self._finish, outcome)
            self.complete = self._settle()
        self._pool.shutdown()

    def _catch_up(self) -> None:
        with short_turns():
            if not self._started:
                self._tracker.start(self._run)
                self._started = True
            while self._sent < len(self._records):
                self._tracker.epoch(self._records[self._sent])
                self._sent += 1

    def _finish(self, outcome: Outcome) -> None:
        with short_turns():
            self._tracker.finish(outcome.status, outcome.summary, outcome.artifacts)

    def _settle(self) -> bool:
        """Wait for the call that is under way; whether it went well."""
        if self._pending is not None and not wait([self._pending], timeout=_SILENT_SECONDS).done:
            limit = getattr(self._tracker, "longest_wait", "")
            announce("note", f"waiting for {self.name}: {f'{limit}, and ' if limit else ''}{_KEPT}")
        error = None if self._pending is None else self._pending.exception()
        self._pending = None
        if error is None:
            return True
        self._not_before = time.monotonic() + self._retry_seconds
        self._failed(self.name, error)
        return False

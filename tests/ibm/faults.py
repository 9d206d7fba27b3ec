"""What the stand-in can do wrong.

  status          a request is answered with `status`, `code` and `retry_after`
  drop            a request gets no answer; the connection is closed
  truncate        a request gets half of its answer, then the connection is closed
  delay           a request is answered after `seconds`
  fail            a job fails with `code` and `message`, and `seconds` are billed
  cancel          a job is cancelled by the service
  partial         a job's result lacks its last item
  lose_result     a job's result is not found once it is complete
  maintenance     for `seconds`, every request of the API is answered with 503
  pause           for `seconds`, the backend is not operational and starts no job
  revoke_tokens   access tokens given out before are refused with 401
  close_sessions  every session ends, and its queued jobs fail, as at its time limit

The first four wait for requests of the kind `on` (a name of `routes.ROUTES`, or "any"), the next
four for accepted jobs; they let `skip` of them pass and then hit `times` (None: all). With
`after_effect` a request is accepted and its answer is lost; otherwise it has no effect. The last
four act at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

ON_REQUESTS = ("status", "drop", "truncate", "delay")
ON_JOBS = ("fail", "cancel", "partial", "lose_result")

What = Literal[
    "status",
    "drop",
    "truncate",
    "delay",
    "fail",
    "cancel",
    "partial",
    "lose_result",
    "maintenance",
    "pause",
    "revoke_tokens",
    "close_sessions",
]


@dataclass(frozen=True)
class Fault:
    """One fault; which fields count depends on `what`. Durations are in service time."""

    what: What
    on: str = "submit"
    times: int | None = 1
    skip: int = 0
    after_effect: bool = False
    status: int = 500
    code: int = 1000
    message: str = "injected"
    retry_after: float | None = None
    seconds: float = 0.0


@dataclass(eq=False)
class _Waiting:
    fault: Fault
    seen: int = 0

    def hits(self) -> bool:
        """Count one request or job; True if the fault hits it."""
        self.seen += 1
        return self.seen > self.fault.skip

    def spent(self) -> bool:
        times = self.fault.times
        return times is not None and self.seen >= self.fault.skip + times


class Faults:
    """The injected faults that wait for requests or jobs, in the order of their injection."""

    def __init__(self) -> None:
        self.paused_until = 0.0
        self.maintenance_until = 0.0
        self._waiting: list[_Waiting] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault, now: float) -> None:
        """Begin maintenance or a pause at `now`, or let `fault` wait for what it hits."""
        if fault.what in {"maintenance", "pause"}:
            self.paused_until = now + fault.seconds
        if fault.what == "maintenance":
            self.maintenance_until = now + fault.seconds
        with self._lock:
            self._waiting.append(_Waiting(fault))

    def clear(self) -> None:
        """Forget all faults that still wait, and end maintenance."""
        self.paused_until = self.maintenance_until = 0.0
        with self._lock:
            self._waiting.clear()

    def for_request(self, kind: str) -> Fault | None:
        """The fault that hits this request of `kind`."""
        return self._take(lambda fault: fault.what in ON_REQUESTS and fault.on in {kind, "any"})

    def for_job(self) -> Fault | None:
        """The fault that hits this accepted job."""
        return self._take(lambda fault: fault.what in ON_JOBS)

    def _take(self, matches: Callable[[Fault], bool]) -> Fault | None:
        with self._lock:
            for waiting in [each for each in self._waiting if matches(each.fault)]:
                if waiting.hits():
                    if waiting.spent():
                        self._waiting.remove(waiting)
                    return waiting.fault
        return None

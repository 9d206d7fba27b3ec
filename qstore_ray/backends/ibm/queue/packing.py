"""Which requests go together into the next jobs.

`waiting.py` decides when a request may leave, `fair_queue.py` who is served first. Nothing is sent
while the cap of jobs in flight is reached: then requests gather, and the next job is larger.

The packer has no clock and draws nothing: the same calls give the same jobs.
"""

from __future__ import annotations

import math
from collections.abc import Collection

from qstore_ray.backends.ibm.queue.fair_queue import FairQueue
from qstore_ray.backends.ibm.queue.separate import SeparateJobs
from qstore_ray.backends.ibm.queue.waiting import WaitingRequests
from qstore_ray.backends.ibm.requests import CircuitRequest, JobCaps, PackedJob, pieces
from qstore_ray.errors import ConfigError

COALESCING_DELAY = 0.03
"""Seconds that a request waits for others."""


class Packer:
    """Holds the requests that wait, and packs them into jobs.

    Args:
        caps: the limits of a job.
        delay: seconds that a request, or a complete group, waits for others.
        run: the run whose requests these are, if it is no search: its complete groups do not wait.

    Attributes:
        separate: parts of jobs that failed, which are taken first and as they are.

    Examples:
        packer = Packer(JobCaps(), delay=0.03)
        for trial in ("a", "b"):
            packer.add(CircuitRequest(key=trial, backend="ibm_fez", trial=trial, shots=100))
        assert packer.take(now=0.01) == ()
        (job,) = packer.take(now=0.03)
        assert [request.trial for request in job.requests] == ["a", "b"]
    """

    def __init__(
        self,
        caps: JobCaps | None = None,
        *,
        delay: float = COALESCING_DELAY,
        run: str | None = None,
    ) -> None:
        if not 0.0 <= delay < math.inf:
            raise ConfigError(
                "the delay is out of range", field="delay", value=delay, fix="Take 0 or more."
            )
        self._caps = caps or JobCaps()
        self._keys: set[str] = set()
        self._waiting = WaitingRequests(self._caps, delay, run)
        self._ready = FairQueue(self._caps)
        self.separate = SeparateJobs()

    def __len__(self) -> int:
        """How many requests, or pieces of them, are here."""
        return len(self._keys)

    def add(self, request: CircuitRequest) -> None:
        """Queue a request; one above the caps is queued in pieces.

        Raises:
            ConfigError: one row alone is above a cap, the key waits already, or the shares of a
                group differ in what they ask for.
        """
        parts = pieces(request, self._caps)
        if any(part.key in self._keys for part in parts):
            raise ConfigError("this request waits already", field="key", value=request.key)
        self._waiting.check(request)
        self._waiting.add(*parts)
        self._keys.update(part.key for part in parts)

    def answered(self, request: CircuitRequest) -> None:
        """The group of a request does not wait for it: it was measured, or a job with it runs."""
        if request.group:
            self._waiting.answered(request)

    def expect(self, trials: Collection[str], began: float, ended: float) -> None:
        """Let the next steps of trials that shared a job, of which these are the times, wait."""
        self._waiting.expect(trials, began, ended)

    def has_company(self, request: CircuitRequest) -> bool:
        """Whether something of the same trial and settings waits to leave."""
        return self._waiting.has(request)

    def withdraw(self, trial: str) -> tuple[CircuitRequest, ...]:
        """Remove and return the requests of a trial, which has ended."""
        self.separate.withdraw(trial)
        found = (*self._ready.withdraw(trial), *self._waiting.withdraw(trial))
        self._keys.difference_update(request.key for request in found)
        return found

    @property
    def is_ready(self) -> bool:
        """Whether something waits only for jobs in flight to end."""
        return bool(self._ready) or self.separate.is_ready

    def next_time(self) -> float | None:
        """When something that waits may leave, in the past if it may already; None if nothing.

        What waits only for jobs in flight to end does not count.
        """
        return self._waiting.next_time()

    def take(self, now: float, in_flight: int = 0) -> tuple[PackedJob, ...]:
        """Remove and return the jobs that are to be submitted now, in order.

        Args:
            now: seconds, by the clock of the requests' arrivals.
            in_flight: jobs that were submitted and have not ended.
        """
        ready = self._ready
        for requests in tuple(self._waiting.release(now, ready.settings)):
            ready.add(requests)
        jobs = self.separate.take(self._caps.in_flight - in_flight)
        while ready and in_flight + len(jobs) < self._caps.in_flight:
            jobs.append(ready.next_job())
            self._keys.difference_update(request.key for request in jobs[-1].requests)
        return tuple(jobs)

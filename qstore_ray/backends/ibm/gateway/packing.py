"""Which requests go together into the next jobs: coalescing and weighted fairness.

Every job costs seconds of overhead, so requests with the same settings (backend, shots, options)
share one. The shares of a step (a group) are sent together as soon as all have arrived, or at the
group's deadline; other requests wait a few hundredths of a second for company, and leave earlier
when a job of their settings leaves. Nothing is sent while the cap of jobs in flight is reached:
then requests gather, and the next job is larger.

If more is ready than fits into a job, trials are served by start-time fair queueing (Goyal, Vin
and Cheng 1996). A virtual time v counts executions per weight. Work of a trial that becomes ready
starts at S = max(v, F), where F is the finish of the trial's work before it, and finishes at
S + cost/weight; the work with the smallest S is served next, and v becomes its S. So while two
trials both wait, the services per weight that they get differ by at most one unit of each, and a
trial that was idle gets no credit for it. A unit is a request, or the shares of a group that fit
into one job.

The packer has no clock and draws nothing: the same calls give the same jobs.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from qstore_ray.backends.ibm.requests import (
    CircuitRequest,
    JobCaps,
    JobSettings,
    PackedJob,
    fits,
    pieces,
)
from qstore_ray.errors import ConfigError

COALESCING_DELAY = 0.03
"""Seconds that a request without a group waits for others."""


class _Unit(NamedTuple):
    """Requests of one trial and one group that are served together.

    Attributes:
        start: its start time S in virtual time. order: position in the order of release.
    """

    start: float
    order: int
    requests: tuple[CircuitRequest, ...]


class Packer:
    """Holds the requests that wait, and packs them into jobs.

    Args:
        caps: the limits of a job.
        delay: seconds that a request without a group waits for others.

    Examples:
        packer = Packer(JobCaps(), delay=0.03)
        for trial in ("a", "b"):
            packer.add(CircuitRequest(key=trial, backend="ibm_fez", trial=trial, shots=100))
        assert packer.take(now=0.01) == ()
        (job,) = packer.take(now=0.03)
        assert [request.trial for request in job.requests] == ["a", "b"]
    """

    def __init__(self, caps: JobCaps | None = None, *, delay: float = COALESCING_DELAY) -> None:
        if not 0.0 <= delay < math.inf:
            raise ConfigError(
                "the delay is out of range", field="delay", value=delay, fix="Take 0 or more."
            )
        self._caps = caps or JobCaps()
        self._delay = delay
        self._keys: set[str] = set()
        self._single: dict[JobSettings, list[CircuitRequest]] = {}
        self._groups: dict[tuple[str, str], list[CircuitRequest]] = {}
        self._ready: dict[JobSettings, dict[str, deque[_Unit]]] = {}
        self._virtual = 0.0
        self._finish: dict[str, float] = {}
        self._released = 0

    def __len__(self) -> int:
        """How many requests, or pieces of them, wait."""
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
        if request.group:
            self._check_share(request)
            self._groups.setdefault((request.trial, request.group), []).extend(parts)
        else:
            self._single.setdefault(request.settings, []).extend(parts)
        self._keys.update(part.key for part in parts)

    def withdraw(self, trial: str) -> tuple[CircuitRequest, ...]:
        """Remove and return the waiting requests of a trial, which has ended."""
        found = [r for requests in self._single.values() for r in requests if r.trial == trial]
        found += [r for (of, _), shares in self._groups.items() if of == trial for r in shares]
        for queues in self._ready.values():
            found += [r for unit in queues.pop(trial, ()) for r in unit.requests]
        for settings, requests in self._single.items():
            self._single[settings] = [r for r in requests if r.trial != trial]
        self._groups = {at: shares for at, shares in self._groups.items() if at[0] != trial}
        self._finish.pop(trial, None)
        self._keys.difference_update(r.key for r in found)
        self._forget_empty()
        return tuple(found)

    def next_time(self) -> float | None:
        """When something that waits becomes ready by time alone; None if nothing will.

        What is ready already, and waits for jobs in flight to end, does not count.
        """
        times = [self._leaves(r) for requests in self._single.values() for r in requests]
        times += [_deadline(shares) for shares in self._groups.values()]
        times += [-math.inf for shares in self._groups.values() if _is_complete(shares)]
        return min(times, default=None)

    def take(self, now: float, in_flight: int = 0) -> tuple[PackedJob, ...]:
        """Remove and return the jobs that are to be submitted now, in order.

        Args:
            now: seconds, by the clock of the requests' arrivals.
            in_flight: jobs that were submitted and have not ended.
        """
        self._release(now)
        jobs: list[PackedJob] = []
        while self._ready and in_flight + len(jobs) < self._caps.in_flight:
            jobs.append(self._fill())
        return tuple(jobs)

    def _check_share(self, request: CircuitRequest) -> None:
        shares = self._groups.get((request.trial, request.group), [])
        if any(_common(share) != _common(request) for share in shares):
            raise ConfigError(
                "the shares of a group differ in settings, weight or number of parts",
                field="group",
                value=request.group,
            )
        if any(share.part == request.part for share in shares):
            raise ConfigError(
                "two requests are the same part of a group", field="part", value=request.part
            )

    def _leaves(self, request: CircuitRequest) -> float:
        return min(request.arrival + self._delay, request.deadline)

    def _release(self, now: float) -> None:
        """Move what may leave now from waiting to ready."""
        due = [
            at
            for at, shares in self._groups.items()
            if _is_complete(shares) or _deadline(shares) <= now
        ]
        for at in due:
            shares = sorted(self._groups.pop(at), key=lambda r: (r.part, r.first_row))
            for requests in self._within_caps(shares):
                self._enqueue(requests)
        for settings, requests in tuple(self._single.items()):
            if settings in self._ready or self._may_leave(requests, now):
                for request in self._single.pop(settings):
                    self._enqueue((request,))

    def _may_leave(self, requests: list[CircuitRequest], now: float) -> bool:
        """Whether one of them has waited long enough, or they fill a job."""
        executions, size = _size(requests)
        waited = any(self._leaves(request) <= now for request in requests)
        return waited or not fits(executions + 1, size + 1, self._caps)

    def _within_caps(
        self, shares: Iterable[CircuitRequest]
    ) -> Iterator[tuple[CircuitRequest, ...]]:
        """The shares of a group, in order, in as many units as the caps need."""
        unit: tuple[CircuitRequest, ...] = ()
        for share in shares:
            if unit and not fits(*_size((*unit, share)), self._caps):
                yield unit
                unit = ()
            unit = (*unit, share)
        yield unit

    def _enqueue(self, requests: tuple[CircuitRequest, ...]) -> None:
        trial, weight = requests[0].trial, requests[0].weight
        start = max(self._virtual, self._finish.get(trial, 0.0))
        self._finish[trial] = start + _size(requests)[0] / weight
        self._released += 1
        queue = self._ready.setdefault(requests[0].settings, {}).setdefault(trial, deque())
        queue.append(_Unit(start, self._released, requests))

    def _fill(self) -> PackedJob:
        """The next job: what is served next, and what follows it of the same settings."""
        _, settings = min((_first(queues), at) for at, queues in self._ready.items())
        queues = self._ready[settings]
        job: list[CircuitRequest] = []
        executions = size = 0
        while queues:
            trial = min(queues, key=lambda trial: queues[trial][0][:2])
            unit = queues[trial][0]
            more, larger = _size(unit.requests)
            executions, size = executions + more, size + larger
            if job and not fits(executions, size, self._caps):
                break
            queues[trial].popleft()
            job += unit.requests
            self._virtual = max(self._virtual, unit.start)
            if not queues[trial]:
                del queues[trial]
        self._keys.difference_update(request.key for request in job)
        self._forget_empty()
        return PackedJob(tuple(job))

    def _forget_empty(self) -> None:
        self._single = {at: requests for at, requests in self._single.items() if requests}
        self._ready = {at: queues for at, queues in self._ready.items() if queues}
        if not self._ready and self._finish:  # a busy period ends: nobody is ahead any more
            self._virtual = max(self._virtual, *self._finish.values())
            self._finish.clear()


def _size(requests: Iterable[CircuitRequest]) -> tuple[int, int]:
    """Executions and bytes of the payload."""
    sizes = [(request.executions, request.payload_bytes) for request in requests]
    return sum(size[0] for size in sizes), sum(size[1] for size in sizes)


def _common(share: CircuitRequest) -> tuple[JobSettings, int, float]:
    """What all shares of a group have in common."""
    return share.settings, share.parts, share.weight


def _first(queues: dict[str, deque[_Unit]]) -> tuple[float, int]:
    return min((queue[0].start, queue[0].order) for queue in queues.values())


def _is_complete(shares: list[CircuitRequest]) -> bool:
    return len({share.part for share in shares}) == shares[0].parts


def _deadline(shares: list[CircuitRequest]) -> float:
    return min(share.deadline for share in shares)

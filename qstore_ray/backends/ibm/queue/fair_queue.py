"""Who is served first if more is ready than fits into a job: weighted fairness between trials.

It is start-time fair queueing (Goyal, Vin and Cheng 1996). A virtual time v counts executions per
weight. Work of a trial that becomes ready starts at S = max(v, F), where F is the finish of the
trial's work before it, and finishes at S + cost/weight. The work with the smallest S is served
next, and v becomes its S. So while two trials both wait for jobs of the same settings, the services
per weight that they get differ by at most one unit of each; and a trial that was idle gets no
credit for it. A unit is a request, or the shares of a group that fit into one job.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from qstore_ray.backends.ibm.requests import (
    CircuitRequest,
    JobCaps,
    JobSettings,
    PackedJob,
    fits,
    size_of,
)


class _Unit(NamedTuple):
    """Requests of one trial that are served together.

    Attributes:
        start: its S in virtual time. order: position in the order in which units became ready.
    """

    start: float
    order: int
    requests: tuple[CircuitRequest, ...]


class FairQueue:
    """Units of work that are ready, by settings and trial.

    Args:
        caps: the limits of a job.
    """

    def __init__(self, caps: JobCaps) -> None:
        self._caps = caps
        self._queues: dict[JobSettings, dict[str, deque[_Unit]]] = {}
        self._virtual = 0.0
        self._finish: dict[str, float] = {}
        self._units = 0

    def __bool__(self) -> bool:
        """Whether something is ready."""
        return bool(self._queues)

    @property
    def settings(self) -> set[JobSettings]:
        """Of what is ready."""
        return set(self._queues)

    def add(self, requests: tuple[CircuitRequest, ...]) -> None:
        """Add a unit: requests of one trial and one group, together within the caps."""
        trial, weight = requests[0].trial, requests[0].weight
        start = max(self._virtual, self._finish.get(trial, 0.0))
        self._finish[trial] = start + size_of(requests)[0] / weight
        self._units += 1
        queues = self._queues.setdefault(requests[0].settings, {})
        queues.setdefault(trial, deque()).append(_Unit(start, self._units, requests))

    def withdraw(self, trial: str) -> list[CircuitRequest]:
        """Remove and return what a trial has in the queue."""
        found: list[CircuitRequest] = []
        for queues in self._queues.values():
            found += [request for unit in queues.pop(trial, ()) for request in unit.requests]
        self._finish.pop(trial, None)
        self._forget_empty()
        return found

    def next_job(self) -> PackedJob:
        """Remove the next job: what is served next, and what follows it of the same settings."""
        _, settings = min((_first(queues), at) for at, queues in self._queues.items())
        queues = self._queues[settings]
        job: list[CircuitRequest] = []
        executions = size = 0
        while queues:
            trial = min(queues, key=lambda trial: queues[trial][0][:2])
            unit = queues[trial][0]
            more, larger = size_of(unit.requests)
            once = unit.requests[0].calibration if job else 0  # the job has it already
            executions, size = executions + more - once, size + larger
            if job and not fits(executions, size, self._caps):
                break
            queues[trial].popleft()
            job += unit.requests
            self._virtual = max(self._virtual, unit.start)
            if not queues[trial]:
                del queues[trial]
        self._forget_empty()
        return PackedJob(tuple(job))

    def _forget_empty(self) -> None:
        self._queues = {at: queues for at, queues in self._queues.items() if queues}
        if not self._queues and self._finish:  # a busy period ends: nobody is ahead any more
            self._virtual = max(self._virtual, *self._finish.values())
            self._finish.clear()


def _first(queues: dict[str, deque[_Unit]]) -> tuple[float, int]:
    return min((queue[0].start, queue[0].order) for queue in queues.values())

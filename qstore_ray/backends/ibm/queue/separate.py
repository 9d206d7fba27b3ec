"""A job that several owners shared and that failed is sent again in parts, one for each owner.

One request may have been at fault. So each owner, a trial of a search, gets a job of its own, once:
the others have their outcomes, and only the one at fault has the error. If it is sure that the job
was at fault (too large, not valid), all parts are sent at once. Else the service may fail with
every job: the parts are sent one after another until one of them ends well, and if `_TELLING` of
them fail before that, the rest is given up.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from qstore_ray.backends.ibm.requests import CircuitRequest, PackedJob

_TELLING = 2
"""Parts that fail, after which it is not one owner that is at fault."""


@dataclass(eq=False)
class _Split:
    """The parts of one job that are not sent yet."""

    left: deque[PackedJob]
    one_by_one: bool
    is_last_try: bool
    running: set[str] = field(default_factory=set)
    failures: int = 0

    @property
    def may_send(self) -> bool:
        return bool(self.left) and not (self.one_by_one and self.running)


class SeparateJobs:
    """The parts of shared jobs that failed. Used by the gateway's thread alone."""

    def __init__(self) -> None:
        self._splits: list[_Split] = []
        self._parts: dict[str, _Split] = {}

    def is_last_try(self, key: str) -> bool:
        """Whether a job is such a part of one that had failed as often as it may."""
        return key in self._parts and self._parts[key].is_last_try

    @property
    def is_ready(self) -> bool:
        """Whether a part waits only for room."""
        return any(split.may_send for split in self._splits)

    def split(self, requests: tuple[CircuitRequest, ...], *, one_by_one: bool) -> None:
        """Take the requests of a job that failed.

        Args:
            one_by_one: whether a part is sent only when the one before it has ended.
        """
        parts: dict[str, list[CircuitRequest]] = {}
        for request in requests:
            parts.setdefault(request.trial, []).append(request)
        jobs = deque(PackedJob(tuple(part)) for part in parts.values())
        self._splits.append(_Split(jobs, one_by_one, one_by_one))

    def take(self, room: int) -> list[PackedJob]:
        """Remove and return the jobs that are to be submitted now, `room` at most."""
        found: list[PackedJob] = []
        for split in self._splits:
            while split.may_send and len(found) < room:
                found.append(split.left.popleft())
                split.running.add(found[-1].key)
                self._parts[found[-1].key] = split
        self._forget_empty()
        return found

    def ended(self, key: str, *, has_failed: bool = False) -> list[str]:
        """A job has ended, a part or not; the keys of requests that are given up with it."""
        split = self._parts.pop(key, None)
        if split is None:
            return []
        split.running.discard(key)
        split.failures += has_failed
        if not has_failed:
            split.one_by_one = False
        if not split.one_by_one or split.failures < _TELLING:
            return []
        given_up = [request.key for part in split.left for request in part.requests]
        split.left.clear()
        self._forget_empty()
        return given_up

    def withdraw(self, trial: str) -> None:
        """Remove the parts of a trial, which has ended."""
        for split in self._splits:
            split.left = deque(each for each in split.left if each.requests[0].trial != trial)
        self._forget_empty()

    def _forget_empty(self) -> None:
        self._splits = [split for split in self._splits if split.left]

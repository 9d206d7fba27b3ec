"""Jobs in flight, counted over all runs that use a device from one process.

IBM runs few jobs of an instance on a device at a time, so the runs share the cap: each may have its
part of it, and what the others leave; room that there is goes to the one that has waited longest.
"""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


class SharedCap:
    """The cap of jobs in flight that gateways share; `lock` guards the `members`."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.members: list[CapMember] = []
        self.tickets = itertools.count()

    def join(self, wake: Callable[[], None]) -> CapMember:
        """One more gateway.

        Args:
            wake: called, in any thread, if there may be room for another job of it.
        """
        member = CapMember(self, wake)
        with self.lock:
            self.members.append(member)
        return member


class CapMember:
    """One gateway's part; used by its thread. See `SharedCap.join`."""

    def __init__(self, shared: SharedCap, wake: Callable[[], None]) -> None:
        self._shared, self.wake = shared, wake
        self.in_flight, self.wants_more, self.ticket = 0, False, math.inf

    def has_room(self, cap: int) -> bool:
        """Whether another job may be in flight."""
        with self._shared.lock:
            return self._room(cap) > 0

    def fill(self, cap: int, take: Callable[[int], Sequence[T]]) -> Sequence[T]:
        """The jobs that `take` gives for so many in flight; they count at once.

        Args:
            cap: of jobs in flight, over all gateways.
        """
        with self._shared.lock:
            jobs = take(cap - self._room(cap))
            self.in_flight += len(jobs)
            if jobs and self.wants_more:  # behind those that have none yet
                self.ticket = next(self._shared.tickets)
        return jobs

    def set(self, in_flight: int, *, wants_more: bool = False) -> None:
        """Say how many jobs are in flight, and whether one waits for room."""
        with self._shared.lock:
            makes_room = in_flight < self.in_flight or (self.wants_more and not wants_more)
            if wants_more != self.wants_more:
                self.ticket = next(self._shared.tickets) if wants_more else math.inf
            self.in_flight, self.wants_more = in_flight, wants_more
            others = [each for each in self._shared.members if each is not self]
            waiting = [each for each in others if makes_room and each.wants_more]
        for each in waiting:
            each.wake()

    def leave(self) -> None:
        """Take the gateway out; what it had is free."""
        self.set(0)
        with self._shared.lock:
            self._shared.members.remove(self)

    def _room(self, cap: int) -> int:
        members = self._shared.members
        busy = [each for each in members if each is self or each.in_flight or each.wants_more]
        share = -(-cap // len(busy))
        ahead = [e for e in busy if e.wants_more and e.in_flight < share and e.ticket < self.ticket]
        free = cap - sum(each.in_flight for each in members) - len(ahead)
        return min(free, share - self.in_flight)

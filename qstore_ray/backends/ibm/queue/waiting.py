"""When a request may leave: it waits for company, and for the other shares of its step.

Each job costs seconds of overhead, so requests with the same settings share one. The shares of a
step (a group) leave together, when all of them have arrived or at their deadline. A complete group,
or a request without a group, waits `delay` for others; a step of a run that is no search leaves at
once, because nothing else can come. A trial of a search always waits: its next step can only share
a job if this one did. Trials that shared a job come back at about the same time, and each of them
waits a little longer for the others. All that waits leaves when a job of its settings does.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import chain

from qstore_ray.backends.ibm.requests import (
    CircuitRequest,
    JobCaps,
    JobSettings,
    fits,
    size_of,
)
from qstore_ray.errors import ConfigError

_COMPANY, _COMPANY_PART = 1.0, 0.05
"""For how long trials that shared a job wait for each other: seconds, and part of its time."""


class WaitingRequests:
    """The requests that may not leave yet.

    Args:
        caps: the limits of a job.
        delay: seconds to wait for others.
        run: whose complete groups wait for nothing.
    """

    def __init__(self, caps: JobCaps, delay: float, run: str | None) -> None:
        self._caps, self._delay, self._run = caps, delay, run
        self._single: dict[JobSettings, list[CircuitRequest]] = {}
        self._groups: dict[tuple[str, str], list[CircuitRequest]] = {}
        self._answered: dict[tuple[str, str], set[int]] = {}
        self._expected: dict[str, float] = {}

    def check(self, request: CircuitRequest) -> None:
        """Refuse a share that does not fit to the shares of its group which wait.

        Raises:
            ConfigError: they differ in what they ask for, or one is the same part.
        """
        shares = self._groups.get((request.trial, request.group), []) if request.group else []
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

    def add(self, *pieces: CircuitRequest) -> None:
        """Add a request, in pieces if it is above the caps."""
        request = pieces[0]
        self._expected.pop(request.trial, None)
        if request.group:
            self._groups.setdefault((request.trial, request.group), []).extend(pieces)
        else:
            self._single.setdefault(request.settings, []).extend(pieces)

    def expect(self, trials: Collection[str], began: float, ended: float) -> None:
        """Trials have shared a job: they are likely to come with their next steps soon."""
        until = ended + min(_COMPANY, _COMPANY_PART * (ended - began))
        if len(trials) > 1:
            self._expected |= dict.fromkeys(trials, until)

    def answered(self, request: CircuitRequest) -> None:
        """A group does not wait for this share: it was measured, or a job with it runs."""
        at = request.trial, request.group
        parts = self._answered.setdefault(at, set())
        parts.add(request.part)
        if len(parts) == request.parts:  # nothing of the group is left to send
            del self._answered[at]

    def withdraw(self, trial: str) -> list[CircuitRequest]:
        """Remove and return the requests of a trial, which has ended."""
        everything = chain(*self._single.values(), *self._groups.values())
        found = [request for request in everything if request.trial == trial]
        for settings, requests in tuple(self._single.items()):
            self._put_back(settings, [each for each in requests if each.trial != trial])
        self._groups = {at: shares for at, shares in self._groups.items() if at[0] != trial}
        self._answered = {at: parts for at, parts in self._answered.items() if at[0] != trial}
        self._expected.pop(trial, None)
        return found

    def has(self, request: CircuitRequest) -> bool:
        """Whether something of the same trial and settings waits."""
        everything = chain(*self._single.values(), *self._groups.values())
        wanted = request.trial, request.settings
        return any((each.trial, each.settings) == wanted for each in everything)

    def next_time(self) -> float | None:
        """When something may leave by time alone, maybe in the past; None if nothing."""
        times = [self._leaves(request) for request in chain(*self._single.values())]
        times += [self._group_leaves(at) for at in self._groups]
        return min(times, default=None)

    def release(
        self, now: float, settings: Collection[JobSettings]
    ) -> Iterator[tuple[CircuitRequest, ...]]:
        """Remove what may leave: single requests, and groups cut into what fits into a job.

        Args:
            settings: of work that may leave: what waits with the same settings leaves with it.
        """
        leaving = {at: self._group_leaves(at) <= now for at in self._groups}
        moved = {*settings}
        moved.update(self._groups[at][0].settings for at, leaves in leaving.items() if leaves)
        moved.update(at for at, requests in self._single.items() if self._may_leave(requests, now))
        for at, leaves in leaving.items():
            shares = self._groups[at]
            if leaves or (shares[0].settings in moved and self._is_complete(at)):
                self._answered.pop(at, None)
                yield from self._within_caps(self._groups.pop(at))
        for each in [at for at in self._single if at in moved]:
            yield from ((request,) for request in self._single.pop(each))

    def _leaves(self, request: CircuitRequest) -> float:
        if request.rides:
            return request.deadline
        return min(request.arrival + self._delay, request.deadline)

    def _is_complete(self, at: tuple[str, str]) -> bool:
        """Whether no share of a group is missing."""
        shares = self._groups[at]
        found = {share.part for share in shares} | self._answered.get(at, set())
        return len(found) == shares[0].parts

    def _group_leaves(self, at: tuple[str, str]) -> float:
        shares = self._groups[at]
        deadline = min(share.deadline for share in shares)
        if not self._is_complete(at):
            return deadline
        complete = max(share.arrival for share in shares)
        leaves = complete + (0.0 if at[0] == self._run else self._delay)
        return min(deadline, max([leaves, *self._expected.values()]))

    def _may_leave(self, requests: list[CircuitRequest], now: float) -> bool:
        """Whether one of them has waited long enough, or they fill a job."""
        executions, size = size_of(requests)
        waited = any(self._leaves(request) <= now for request in requests)
        return waited or not fits(executions + 1, size + 1, self._caps)

    def _within_caps(self, shares: list[CircuitRequest]) -> Iterator[tuple[CircuitRequest, ...]]:
        """The shares of a group, in order, in as many units as the caps need."""
        unit: tuple[CircuitRequest, ...] = ()
        for share in sorted(shares, key=lambda share: (share.part, share.first_row)):
            if unit and not fits(*size_of((*unit, share)), self._caps):
                yield unit
                unit = ()
            unit = (*unit, share)
        yield unit

    def _put_back(self, settings: JobSettings, requests: list[CircuitRequest]) -> None:
        if requests:
            self._single[settings] = requests
        else:
            del self._single[settings]


def _common(share: CircuitRequest) -> tuple[JobSettings, int, float]:
    """What all shares of a group have in common."""
    return share.settings, share.parts, share.weight

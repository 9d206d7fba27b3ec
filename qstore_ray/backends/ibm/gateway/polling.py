"""When to ask for a job again: jobs of the same size take about as long as the last ones.

The first job of a size is asked for with pauses that grow by half. From the next one on the first
question comes shortly before the time at which all of the last four still ran. The pauses begin at
a fiftieth of that time, grow by half, and are at most 15 % of the time so far. If the last four
took about the same time, the first four pauses grow by a fifth. So a training step, which repeats
jobs of one size, notices its end soon and with few questions. If the first answer is that the job
is done, the next one is asked for earlier: by a tenth, then by more.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from qstore_ray.backends.ibm.policy import GatewayPolicy

_GROWTH: Final = 1.5
_GROWTH_AT_END, _AT_END = 1.2, 4
"""The growth of the first pauses if the time is well known, and how many they are."""
_ALIKE: Final = 1.4
"""The longest of the last times is at most so many times the shortest, if it is."""
_FIRST_PART: Final = 0.02
"""Of the known time, the first pause after it."""
_SHORTEST: Final = 0.01
"""Seconds of the shortest pause."""
_LARGEST_PART: Final = 0.15
"""Of the time so far, the longest pause if the time is known."""
_BEFORE, _EARLIER, _LAST = 0.95, 0.9, 4
_SIZES: Final = 1024
"""How many sizes are known at most."""


class PollPace:
    """How long jobs of each size took. Used by the gateway's thread alone.

    Args:
        policy: its `first_poll` and `longest_poll`.
    """

    def __init__(self, policy: GatewayPolicy) -> None:
        self._policy = policy
        self._ran: dict[int, deque[float]] = {}
        self._early: dict[int, int] = {}

    def begin(self, executions: int | None, now: float) -> JobPolls:
        """The questions about a job that is submitted now.

        Args:
            executions: its size; None if it was submitted earlier, and its time says nothing.
        """
        ran = self._ran.get(executions or 0, ())
        known = _BEFORE * min(ran, default=0.0)
        short = _AT_END if ran and max(ran) <= _ALIKE * min(ran) else 0
        pause = max(_SHORTEST, _FIRST_PART * known) if known else self._policy.first_poll
        return JobPolls(self, executions, now, pause, known, short)

    def pause(self, wanted: float) -> float:
        """The pause, not above the longest one."""
        return min(wanted, self._policy.longest_poll)

    def learn(self, executions: int, still_ran: float, done: float) -> None:
        """A job was done after `done` seconds; at `still_ran` it was not, 0 if nobody had asked."""
        if len(self._ran) >= _SIZES:
            self._ran.clear()
            self._early.clear()
        early = self._early.get(executions, 0)
        ran = still_ran or max(_SHORTEST, done * _EARLIER ** (2**early))
        self._early[executions] = 0 if still_ran else min(early + 1, 4)
        self._ran.setdefault(executions, deque(maxlen=_LAST)).append(ran)


class JobPolls:
    """The questions about one job.

    Args:
        began: when it was submitted. pause: the first one after the known time.
        known: seconds for which jobs of its size ran at least; 0 if there was none.
        short: how many pauses grow little.
    """

    def __init__(
        self,
        pace: PollPace,
        executions: int | None,
        began: float,
        pause: float,
        known: float,
        short: int,
    ) -> None:
        self._pace, self._executions, self._began = pace, executions, began
        self._pause, self._known, self._still_ran = pause, known, 0.0
        self._short = short

    def next_time(self, now: float) -> float:
        """When to ask next."""
        left = self._began + self._known - now
        if left > 0.0:
            return now + self._pace.pause(left)
        pause = self._pace.pause(self._pause)
        self._pause = (_GROWTH_AT_END if self._short else _GROWTH) * pause
        self._short = max(0, self._short - 1)
        if self._known:
            self._pause = min(self._pause, max(_SHORTEST, _LARGEST_PART * (now - self._began)))
        return now + pause

    def waiting(self, now: float) -> float:
        """The job has not ended; when to ask next."""
        self._still_ran = now - self._began
        return self.next_time(now)

    def done(self, now: float) -> None:
        """The job has ended: those of its size will take about as long."""
        if self._executions is not None:
            self._pace.learn(self._executions, self._still_ran, now - self._began)

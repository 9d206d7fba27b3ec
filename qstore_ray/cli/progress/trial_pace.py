"""How long a search will still take, from how long its trials take.

The first trials of a search wait for the processes that they run in, which takes many times as long
as a short trial. So the seconds of a trial are its epochs times the seconds between its epochs.
Only a trial that began after another had ended, in an existing process, is timed from its
start.

The first trials to end are the short ones. So a running trial counts too: it takes as long as it
has run, or as the mean of those that ended, whichever is longer.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class _Timed:
    """A running trial: when it began and first reported, and after how many epochs."""

    began: float
    warm: bool
    first: tuple[int, float] | None = None
    last: tuple[int, float] | None = None

    def seconds(self, now: float) -> float | None:
        """How long it has trained; None if it has not said."""
        if self.warm:
            return now - self.began
        if self.first is None or self.last is None or self.first[0] == self.last[0]:
            return None
        (some, since), (epochs, until) = self.first, self.last
        return (until - since) * epochs / (epochs - some)


class TrialPace:
    """Takes in when trials begin, report and end; times are seconds of any clock."""

    def __init__(self) -> None:
        self._running: dict[int, _Timed] = {}
        self._took: list[float] = []
        self._any_ended = False
        self._at_a_time = 1

    def begin(self, number: int, now: float) -> None:
        """A trial began."""
        self._running[number] = _Timed(now, warm=self._any_ended)
        self._at_a_time = max(self._at_a_time, len(self._running))

    def epoch(self, number: int, epochs: int, now: float) -> None:
        """A trial has trained so many epochs."""
        if (trial := self._running.get(number)) is not None:
            trial.first = trial.first or (epochs, now)
            trial.last = (epochs, now)

    def end(self, number: int, now: float, *, counts: bool) -> None:
        """A trial ended; one that does not count was interrupted."""
        trial = self._running.pop(number, None)
        self._any_ended = True
        if trial is not None and counts and (seconds := trial.seconds(now)) is not None:
            self._took.append(seconds)

    def remaining(self, left: int, now: float) -> float | None:
        """Seconds until `left` trials, the running ones among them, have ended.

        Returns:
            None until a trial that ended has reported how long it took.
        """
        if not self._took:
            return None
        mean = sum(self._took) / len(self._took)
        elapsed = [trial.seconds(now) or 0.0 for trial in self._running.values()]
        every = [*self._took, *(max(seconds, mean) for seconds in elapsed)]
        mean = sum(every) / len(every)
        waiting = max(left - len(elapsed), 0)
        work = waiting * mean + sum(max(mean - seconds, 0.0) for seconds in elapsed)
        return work / max(min(self._at_a_time, left), 1)

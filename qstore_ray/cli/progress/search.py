"""Progress of a search, printed as plain lines if stderr is not a terminal.

Everything goes to stderr, so that stdout carries results only. `search_live` has the picture for a
terminal.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TextIO

from qstore_ray.cli.progress.pace import count, duration
from qstore_ray.cli.progress.trial_pace import TrialPace
from qstore_ray.cli.shared.study_text import plain, short_names, shown
from qstore_ray.learn.diagnostics.stopping import Mode, larger_is_better
from qstore_ray.tune.driver.display import BestTrial
from qstore_ray.tune.space.fields import Values

_COUNTED: Final = ("completed", "pruned", "failed")
_LONGEST_REASON: Final = 300


class Progress:
    """How far a search is, who is best, who runs, and how long it will take."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._began = clock()
        self._before = 0
        self.study = self.objective = ""
        self.limit = 0
        self.larger = True
        self.best: BestTrial | None = None
        self.running: dict[int, Values] = {}
        self.epochs: dict[int, tuple[int, float]] = {}
        self._pace = TrialPace()
        self.ended = dict.fromkeys(_COUNTED, 0)

    def start(
        self, study: str, limit: int, objective: str, done: int, mode: Mode, best: BestTrial | None
    ) -> None:
        """Begin, or resume after `done` trials."""
        # A study that is resumed with fewer trials than it has keeps those that it has.
        self.study, self.limit, self.objective = study, max(limit, done), objective
        self.larger = larger_is_better(objective, mode)
        self.best, self._before, self._began = best, done, self._clock()

    def begin(self, number: int, values: Values) -> None:
        """Take in that a trial began."""
        self.running[number] = values
        self._pace.begin(number, self._clock())

    def epoch(self, number: int, epoch: int, value: float) -> None:
        """Take in the value of a running trial after so many epochs."""
        self.epochs[number] = (epoch, value)
        self._pace.epoch(number, epoch, self._clock())

    def end(self, number: int, status: str, value: float | None) -> bool:
        """Take in how a trial ended; whether it is the best so far."""
        values = self.running.pop(number, {})
        self.epochs.pop(number, None)
        self._pace.end(number, self._clock(), counts=status in self.ended)
        if status in self.ended:
            self.ended[status] += 1
        if status != "completed" or value is None:
            return False
        if self.best is not None and not self._better(value, self.best.value):
            return False
        self.best = BestTrial(number, value, values)
        return True

    def _better(self, value: float, other: float) -> bool:
        return value > other if self.larger else value < other

    @property
    def done(self) -> int:
        """Trials that have ended and count; an interrupted one will be repeated."""
        return self._before + sum(self.ended.values())

    @property
    def seconds(self) -> float:
        """Seconds since the search began or was resumed."""
        return self._clock() - self._began

    def remaining(self) -> float | None:
        """Seconds still to go until the last trial; None while no trial says how long one takes."""
        return self._pace.remaining(self.limit - self.done, self._clock())

    def counts(self) -> str:
        """How many ended in which way."""
        return "  ".join(f"{n} {status}" for status, n in self.ended.items() if n)

    def opening(self) -> str:
        """What the search is going to do."""
        way = "largest" if self.larger else "smallest"
        more = f", continuing after {count(self._before, 'trial')}" if self._before else ""
        goal = f"the {way} {plain(self.objective)}"
        return f"searching {plain(self.study)}: {count(self.limit, 'trial')} for {goal}{more}"

    def closing(self) -> str:
        """What was done."""
        place = f"{self.done} of {count(self.limit, 'trial')} in {duration(self.seconds)}"
        best = ""
        if self.best is not None:
            best = (
                f"; best {plain(self.objective)} {self.best.value:.4g} in trial {self.best.number}"
            )
        nothing = "nothing was left to do" if self.done >= self.limit else "none ended"
        return f"{place}: {self.counts() or nothing}{best}"


def described(values: Values) -> str:
    """What a trial tries, in one line."""
    names = short_names(list(values))
    return "  ".join(
        f"{plain(name)} {shown(value)}" for name, value in zip(names, values.values(), strict=True)
    )


def ending(number: int, reason: str | None, status: str) -> str:
    """How a trial ended that has no value, and why."""
    cause = plain(reason or "")[:_LONGEST_REASON]
    return f"trial {number} {status}" + (f": {cause}" if cause else "")


class SearchLines:
    """Plain lines, for logs: one when a trial ends."""

    def __init__(self, stream: TextIO, clock: Callable[[], float]) -> None:
        self._stream = stream
        self._progress = Progress(clock)
        self._open = False

    def start(
        self,
        study: str,
        limit: int,
        objective: str,
        done: int,
        *,
        mode: Mode = "auto",
        best: BestTrial | None = None,
    ) -> None:
        """A line that says what is searched."""
        self._progress.start(study, limit, objective, done, mode, best)
        self._open = True
        self._write(self._progress.opening())

    def trial_started(self, number: int, values: Values) -> None:
        """A line is for trials that ended."""
        self._progress.begin(number, values)

    def epoch(self, number: int, epoch: int, value: float) -> None:
        """A line is for trials that ended."""
        self._progress.epoch(number, epoch, value)

    def trial_ended(
        self, number: int, status: str, value: float | None, reason: str | None
    ) -> None:
        """A line with its value and what it tried."""
        progress = self._progress
        values = progress.running.get(number, {})
        best = progress.end(number, status, value)
        left = progress.remaining()
        facts = [f"{progress.done}/{progress.limit}"]
        if value is None:
            facts.append(ending(number, reason, "FAILED" if status == "failed" else status))
        else:
            facts.append(f"trial {number} {status}")
            facts.append(f"{plain(progress.objective)} {value:.4g}{' (best)' if best else ''}")
        facts += [described(values)] if values else []
        facts += [f"{duration(left)} left"] if left else []
        self._write("  ".join(facts))

    def note(self, text: str) -> None:
        """A line."""
        self._write(plain(text))

    def close(self) -> None:
        """A line that sums up."""
        if self._open:
            self._open = False
            self._write(self._progress.closing())

    def _write(self, text: str) -> None:
        self._stream.write(f"{text}\n")
        self._stream.flush()

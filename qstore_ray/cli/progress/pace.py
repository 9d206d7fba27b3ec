"""How far a run is, how fast it goes, how long it will take, and these facts as short texts."""

from __future__ import annotations

from typing import NamedTuple

from qstore_ray.track.base import Record
from qstore_ray.track.records import StartRecord, StepRecord


class Fact(NamedTuple):
    """A text to show and its rank; where the room is short, the highest rank goes first."""

    rank: int
    text: str


class Pace:
    """How far a run is, how fast, and how long it will still take.

    Args:
        unit: what its records call an epoch: an epoch, or a round of a federation.
    """

    def __init__(self, unit: str = "epoch") -> None:
        self.unit = unit
        self.epochs = self.epochs_done = 0
        self.steps, self.steps_done = 0, 0.0
        self.seconds = 0.0
        self.rate: float | None = None
        self._first_step = self._samples = 0

    def start(self, record: StartRecord) -> None:
        """Begin an attempt where its checkpoint stands."""
        steps_per_epoch = int(record.get("steps_per_epoch", 1))
        self.epochs = int(record["epochs"])
        self.steps = self.epochs * steps_per_epoch
        self.epochs_done = int(record.get("resumed_from_epoch", 0))
        self.steps_done = self._first_step = int(record.get("resumed_from_step", 0))
        self.seconds, self.rate = 0.0, None
        self._samples = round(int(record.get("rows", 0)) * self._first_step / steps_per_epoch)

    def step(self, record: StepRecord) -> None:
        """Take in a step record."""
        self.steps_done = int(record["step"])

    def epoch(self, record: Record) -> None:
        """Take in an epoch record; the rate is that of the last epoch, validation included."""
        self.epochs_done = int(record["epoch"]) + 1
        self.steps_done = int(record["step"])
        seconds, samples = float(record["seconds"]), int(record.get("samples", 0))
        if seconds > self.seconds and "samples" in record:
            self.rate = (samples - self._samples) / (seconds - self.seconds)
        self.seconds, self._samples = seconds, samples

    def within(self, share: float) -> None:
        """So much of the epoch under way is done."""
        self.steps_done = max(self.steps_done, self.epochs_done + share)

    def remaining(self) -> float | None:
        """Seconds still to go at the mean pace of this attempt; None before its first epoch."""
        done = self.steps_done - self._first_step
        if not self.seconds or done <= 0:
            return None
        return self.seconds * (self.steps - self.steps_done) / done

    def facts(self) -> list[Fact]:
        """Rate and remaining time, as far as they are known."""
        rate = [] if self.rate is None else [Fact(4, f"{self.rate:,.0f} samples/s")]
        left = self.remaining()
        return [*rate, Fact(3, f"{duration(left)} left")] if left else rate


def duration(seconds: float) -> str:
    """Seconds as a person writes them: 4.2 s, 48 s, 3:05 min, 2:10:00 h."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes_left = divmod(minutes, 60)
    return f"{hours}:{minutes_left:02}:{rest:02} h" if hours else f"{minutes}:{rest:02} min"


def fitting(facts: list[Fact], room: int) -> str:
    """As many facts as fit into `room` characters, the most important ones, in their order."""
    kept = list(facts)
    while kept and len("  ".join(fact.text for fact in kept)) > room:
        kept.remove(max(kept))
    return "  ".join(fact.text for fact in kept)


def count(number: int, noun: str) -> str:
    """A number and what it counts: 1 row, 1,168 rows."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")

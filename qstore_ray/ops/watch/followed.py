"""One run folder that is followed: its records, its process, its end."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from qstore_ray.errors import RunError
from qstore_ray.ops.rules import Rule, RuleEvent, Sample, all_rules
from qstore_ray.ops.watch.monitor import UNRECORDED, RunMonitor
from qstore_ray.ops.watch.samples import budget_limits, sample_of, usual_silence
from qstore_ray.storage.contents import METRICS
from qstore_ray.track.tail import Tail

_DIED = "its process has ended without a record of how"


class WatchedRun:
    """Reads a run folder again and again; what was written before the first reading is history.

    History brings the rules up to date, and of what they found in it only the alerts that are open
    at its end count. A file that ends in the middle of a line, a line that is no record, and a file
    that does not exist yet are no errors.

    Args:
        run_dir: the run folder, which need not be complete. name: of its alerts.
    """

    def __init__(self, run_dir: Path, name: str) -> None:
        self.path, self.name = run_dir, name
        self._tail = Tail(run_dir / METRICS)
        self._monitor: RunMonitor | None = None
        self._ended = self._was_held = False

    @property
    def ended(self) -> bool:
        """Whether the last attempt has ended, as far as the records say."""
        return self._ended

    def poll(
        self,
        at: float,
        *,
        held: bool | None = None,
        memory_mib: float | None = None,
        known: Collection[str] = (),
    ) -> list[tuple[Rule, RuleEvent]]:
        """What the rules find in the records since the last call.

        Args:
            at: the time, by a steady clock.
            held: whether a process has the run open; None if that is not known.
            memory_mib: what its processes take.
            known: rules of which the log had an open alert before this call. Of a run that is
                running, the first call closes those that the records do not show, and takes over
                those that they cannot.

        Raises:
            RunError: the metrics file cannot be read.
        """
        try:
            records = self._tail.read()
        except OSError as exc:
            raise _unreadable_error(self.path, exc) from exc
        samples = [s for each in records if (s := sample_of(each, at, self._limits(each)))]
        if self._monitor is None:
            return self._first(samples, known if held is not False else ())
        return list(self._judged([*samples, *self._without_record(samples, at, held, memory_mib)]))

    def take_problems(self) -> list[RunError]:
        """Damaged lines that were passed over since the last call."""
        return self._tail.take_errors()

    def close(self) -> None:
        """Close the file."""
        self._tail.close()

    def _first(self, history: list[Sample], known: Collection[str]) -> list[tuple[Rule, RuleEvent]]:
        rules = all_rules(silence_seconds=usual_silence(self.path))
        self._monitor = RunMonitor(rules)
        for _ in self._judged(history):
            pass
        opened = dict(self._monitor.open)
        found = [(rule, opened[rule.name]) for rule in rules if rule.name in opened]
        for rule in rules:
            if rule.name not in known or rule.name in opened:
                continue
            if rule.name in UNRECORDED and not self._ended:
                self._monitor.take_over(rule.name)
            else:
                found.append((rule, RuleEvent(False)))
        return found

    def _without_record(
        self, samples: list[Sample], at: float, held: bool | None, memory_mib: float | None
    ) -> Iterator[Sample]:
        """What is known although nothing was written about it."""
        values = {} if memory_mib is None else {"memory_mib": memory_mib}
        ended = samples[-1].kind == "end" if samples else self._ended
        died = self._was_held and held is False and not ended
        self._was_held = bool(held)
        if died and not samples:  # else it may have written more before it ended
            yield Sample("end", at, {}, _DIED)
        elif died:
            self._was_held = True
        elif not ended:
            yield Sample("tick", at, values)

    def _judged(self, samples: list[Sample]) -> Iterator[tuple[Rule, RuleEvent]]:
        assert self._monitor is not None
        for sample in samples:
            self._ended = sample.kind == "end" or (self._ended and sample.kind == "tick")
            yield from self._monitor.take(sample)

    def _limits(self, record: dict[str, object]) -> dict[str, float] | None:
        return budget_limits(self.path) if record.get("event") == "start" else None


def _unreadable_error(path: Path, exc: OSError) -> RunError:
    reason = exc.strerror or type(exc).__name__
    return RunError(
        f"cannot read the metrics: {reason}",
        field="run",
        value=str(path),
        fix="Make the run folder readable.",
    )

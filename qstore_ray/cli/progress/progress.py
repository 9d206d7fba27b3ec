"""Progress of a run: a bar on a terminal, otherwise one line per epoch.

Everything goes to stderr, so that stdout carries results only. Jobs and notebooks get plain lines,
at most one a second, since a bar that redraws itself floods their logs. Colours are left out under
NO_COLOR (no-color.org).
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, Protocol, TextIO

from qstore_ray.cli.progress.pace import Fact, Pace, count, duration, fitting
from qstore_ray.track.base import Record
from qstore_ray.track.logs.logging import get_logger, logged_as
from qstore_ray.track.records import EndRecord, StartRecord, StepRecord

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_SECONDS_BETWEEN_LINES: Final = 1.0
_REDRAWS_A_SECOND: Final = 5.0
_SHORTEST_BAR: Final = 8
_ENDINGS: Final = {"finished": "finished", "failed": "FAILED", "interrupted": "interrupted"}


class ProgressBar:
    """Shows one run from its records. Fed by the follower's thread.

    Args:
        stream: where to write; stderr if left out.
        quiet: show nothing.
        clock: seconds that only grow.

    Examples:
        display = ProgressBar(quiet=True)
        trainer = QuantumTrainer(ModelConfig(n_qubits=2), callbacks=[display])
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        *,
        quiet: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream
        self._quiet = quiet
        self._clock = clock
        self._pace = Pace()
        self._view: _View | None = None

    def start(self, record: StartRecord) -> None:
        """An attempt begins: the first one, or one that resumes from a checkpoint."""
        self._pace.start(record)
        if self._quiet:
            return
        if self._view is None:
            stream = self._stream or sys.stderr
            self._view = _Bar(stream) if _is_terminal(stream) else _Lines(stream, self._clock)
        self._view.start(self._pace, _opening(record))

    def step(self, record: StepRecord) -> None:
        """A step was done; a line is too much for that, the bar moves."""
        self._pace.step(record)
        if self._view is not None:
            self._view.step(self._pace, [Fact(1, f"loss {record['loss']:.4f}")])

    def epoch(self, record: Record) -> None:
        """An epoch was done."""
        self._pace.epoch(record)
        if self._view is not None:
            self._view.epoch(self._pace, _scores(record))

    def end(self, record: EndRecord) -> None:
        """The attempt ended; the last epoch is shown in any case."""
        if self._view is not None:
            ending = _ENDINGS.get(record["status"], str(record["status"]))
            seconds = float(record.get("seconds", self._pace.seconds))
            epochs = f"{self._pace.epochs_done} of {count(self._pace.epochs, 'epoch')}"
            why = f": {record['reason']}" if record.get("reason") else ""
            self._view.end(f"{ending} after {epochs} in {duration(seconds)}{why}")

    def close(self) -> None:
        """Leave the terminal as it was; the last picture of the bar stays."""
        if self._view is not None:
            self._view.close()
            self._view = None


class LoggedProgress:
    """Logs one run, a JSON line an epoch: for jobs, whose output is read by programs.

    Args:
        run: the run's name, which stands on each line.
    """

    def __init__(self, run: str) -> None:
        self._run = run

    def start(self, record: StartRecord) -> None:
        """An attempt begins."""
        self._log("attempt", record)

    def step(self, record: StepRecord) -> None:
        """Do nothing: a line per step would flood the log."""

    def epoch(self, record: Record) -> None:
        """An epoch was completed."""
        self._log("epoch", record, record.get("epoch"))

    def end(self, record: EndRecord) -> None:
        """The attempt ended."""
        self._log("end", record)

    def close(self) -> None:
        """Nothing is open."""

    def _log(self, event: str, record: Mapping[str, object], epoch: int | None = None) -> None:
        facts = {name: value for name, value in record.items() if name not in ("event", "epoch")}
        with logged_as(run=self._run, epoch=epoch):
            get_logger(__name__).info(event, **facts)


class _View(Protocol):
    """What the two ways to show a run have in common."""

    def start(self, pace: Pace, opening: str) -> None: ...

    def step(self, pace: Pace, scores: list[Fact]) -> None: ...

    def epoch(self, pace: Pace, scores: list[Fact]) -> None: ...

    def end(self, ending: str) -> None: ...

    def close(self) -> None: ...


class _Lines:
    """Plain lines, for logs: the epochs that are shown are at least a second apart."""

    def __init__(self, stream: TextIO, clock: Callable[[], float]) -> None:
        self._stream = stream
        self._clock = clock
        self._next = float("-inf")
        self._held = ""

    def start(self, pace: Pace, opening: str) -> None:
        self._write(opening)

    def step(self, pace: Pace, scores: list[Fact]) -> None:
        """A line is for epochs."""

    def epoch(self, pace: Pace, scores: list[Fact]) -> None:
        width = len(str(pace.epochs))
        place = f"epoch {pace.epochs_done:>{width}}/{pace.epochs}"
        self._held = "  ".join([place, *(fact.text for fact in scores + pace.facts())])
        if self._clock() >= self._next:
            self._release()

    def end(self, ending: str) -> None:
        self._release()
        self._write(ending)

    def close(self) -> None:
        self._release()

    def _release(self) -> None:
        if self._held:
            self._write(self._held)
            self._held = ""
            self._next = self._clock() + _SECONDS_BETWEEN_LINES

    def _write(self, text: str) -> None:
        self._stream.write(f"{text}\n")
        self._stream.flush()


class _Bar:
    """One bar that redraws itself; any other output appears above it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._scores: list[Fact] = []

    def start(self, pace: Pace, opening: str) -> None:
        if self._progress is None:
            self._progress = _progress_bar(self._stream)
            self._progress.start()
        self._progress.console.print(opening, markup=False, highlight=False)
        if self._task is None:
            self._task = self._progress.add_task("", total=pace.steps, facts="", place="")
        self._update(pace, self._scores)

    def step(self, pace: Pace, scores: list[Fact]) -> None:
        self._update(pace, self._scores or scores)

    def epoch(self, pace: Pace, scores: list[Fact]) -> None:
        self._scores = scores
        self._update(pace, scores)

    def end(self, ending: str) -> None:
        """Print how it ended below the last picture of the bar."""
        progress = self._progress
        self.close()
        if progress is not None:
            progress.console.print(ending, markup=False, highlight=False)

    def close(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = self._task = None

    def _update(self, pace: Pace, scores: list[Fact]) -> None:
        assert self._progress is not None, "started"
        assert self._task is not None, "started"
        place = f"epoch {min(pace.epochs_done + 1, pace.epochs)}/{pace.epochs}"
        room = self._progress.console.width - len(place) - _SHORTEST_BAR - 2
        facts = fitting(scores + pace.facts(), room)
        self._progress.update(
            self._task, completed=pace.steps_done, total=pace.steps, place=place, facts=facts
        )


def _progress_bar(stream: TextIO) -> Progress:
    """rich's bar. Its console follows `sys.stderr`, through which others' lines come to it."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn
    from rich.table import Column

    console = Console(stderr=True) if stream is sys.stderr else Console(file=stream)
    return Progress(
        TextColumn("{task.fields[place]}", table_column=Column(no_wrap=True)),
        BarColumn(bar_width=None, table_column=Column(ratio=1, min_width=_SHORTEST_BAR)),
        TextColumn("{task.fields[facts]}", table_column=Column(no_wrap=True)),
        console=console,
        expand=True,
        refresh_per_second=_REDRAWS_A_SECOND,
        redirect_stdout=sys.stdout is sys.stderr,  # else what is printed there would land here
    )


def _is_terminal(stream: TextIO) -> bool:
    return stream.isatty() and os.environ.get("TERM", "") not in {"dumb", "unknown"}


def _opening(record: StartRecord) -> str:
    facts = [f"training {count(int(record['epochs']), 'epoch')}"]
    if "rows" in record:
        facts.append(f"of {count(int(record['rows']), 'row')}")
    if "parameters" in record:
        facts.append(f"with {count(int(record['parameters']), 'parameter')}")
    if record.get("workers"):
        facts.append(f"on {count(int(record['workers']), 'worker')}")
    step = int(record.get("resumed_from_step", 0))
    return " ".join(facts) + (f", continuing after step {step:,}" if step else "")


def _scores(record: Record) -> list[Fact]:
    """Losses and accuracies of an epoch, also on the validation rows if the dataset has any."""
    names = {"train_loss": (1, "loss"), "val_loss": (5, "val loss")}
    if "val_accuracy" in record:
        names["val_accuracy"] = (2, "val accuracy")
    else:
        names["train_accuracy"] = (2, "accuracy")
    return [
        Fact(rank, f"{label} {record[name]:.4f}")
        for name, (rank, label) in names.items()
        if name in record
    ]

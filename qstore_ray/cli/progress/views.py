"""The two ways to show a run: plain lines for logs, a bar on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol, TextIO

from qstore_ray.cli.progress.pace import Fact, Pace, fitting

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


_SECONDS_BETWEEN_LINES: Final = 1.0
_REDRAWS_A_SECOND: Final = 5.0
_SHORTEST_BAR: Final = 8


class View(Protocol):
    """What the two ways to show a run have in common."""

    def start(self, pace: Pace, opening: str) -> None:
        """An attempt begins."""

    def step(self, pace: Pace, scores: list[Fact]) -> None:
        """A step was done."""

    def epoch(self, pace: Pace, scores: list[Fact]) -> None:
        """An epoch was done."""

    def end(self, ending: str) -> None:
        """The attempt ended."""

    def close(self) -> None:
        """Nothing more comes."""


class Lines:
    """Plain lines, for logs: the epochs that are shown are at least a second apart."""

    def __init__(self, stream: TextIO, clock: Callable[[], float]) -> None:
        self._stream = stream
        self._clock = clock
        self._next = float("-inf")
        self._held = ""

    def start(self, pace: Pace, opening: str) -> None:
        """Say what begins."""
        self._write(opening)

    def step(self, pace: Pace, scores: list[Fact]) -> None:
        """A line is for epochs."""

    def epoch(self, pace: Pace, scores: list[Fact]) -> None:
        """Show an epoch."""
        width = len(str(pace.epochs))
        place = f"{pace.unit} {pace.epochs_done:>{width}}/{pace.epochs}"
        self._held = "  ".join([place, *(fact.text for fact in scores + pace.facts())])
        if self._clock() >= self._next:
            self._release()

    def end(self, ending: str) -> None:
        """Say how it ended."""
        self._release()
        self._write(ending)

    def close(self) -> None:
        """Show what was held back."""
        self._release()

    def _release(self) -> None:
        if self._held:
            self._write(self._held)
            self._held = ""
            self._next = self._clock() + _SECONDS_BETWEEN_LINES

    def _write(self, text: str) -> None:
        self._stream.write(f"{text}\n")
        self._stream.flush()


class Bar:
    """One bar that redraws itself; any other output appears above it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._scores: list[Fact] = []

    def start(self, pace: Pace, opening: str) -> None:
        """Say what begins."""
        if self._progress is None:
            self._progress = _progress_bar(self._stream)
            self._progress.start()
        self._progress.console.print(opening, markup=False, highlight=False)
        if self._task is None:
            self._task = self._progress.add_task("", total=pace.steps, facts="", place="")
        self._update(pace, self._scores)

    def step(self, pace: Pace, scores: list[Fact]) -> None:
        """Move the bar."""
        self._update(pace, self._scores or scores)

    def epoch(self, pace: Pace, scores: list[Fact]) -> None:
        """Show an epoch."""
        self._scores = scores
        self._update(pace, scores)

    def end(self, ending: str) -> None:
        """Print how it ended below the last picture of the bar."""
        progress = self._progress
        self.close()
        if progress is not None:
            progress.console.print(ending, markup=False, highlight=False)

    def close(self) -> None:
        """Leave the terminal as it was; the last picture of the bar stays."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = self._task = None

    def _update(self, pace: Pace, scores: list[Fact]) -> None:
        assert self._progress is not None, "started"
        assert self._task is not None, "started"
        place = f"{pace.unit} {min(pace.epochs_done + 1, pace.epochs)}/{pace.epochs}"
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

"""Progress of a search on a terminal, as a picture that redraws itself.

    digits-tune    ━━━━━━━━━━━━━╸          17/40 trials  3:05 min  4:10 min left
    best     val_accuracy 0.9012 in trial 5
             learning_rate 0.0213  layers 4  optimizer adam
    running  trial 17  epoch 12  0.8711   learning_rate 0.0304  layers 5  optimizer adam
             trial 18  started            learning_rate 0.0211  layers 3  optimizer sgd
    ended    12 completed  3 pruned  1 failed

What failed is said in red above the picture, with its cause, and stays there. Colours are left out
under NO_COLOR (no-color.org).
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TextIO

from qstore_ray.cli.progress.pace import duration
from qstore_ray.cli.progress.search import Progress, described, ending
from qstore_ray.cli.shared.study_text import plain
from qstore_ray.tune.driver.display import BestTrial
from qstore_ray.tune.space.fields import Values

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live
    from rich.table import Table

    from qstore_ray.learn.diagnostics.stopping import Mode

_REDRAWS_A_SECOND: Final = 5.0
_MOST_RUNNING: Final = 8


class LiveSearch:
    """A live picture on a terminal; any other output appears above it."""

    def __init__(self, stream: TextIO, clock: Callable[[], float]) -> None:
        self._stream = stream
        self._progress = Progress(clock)
        self._lock = threading.Lock()  # rich redraws in a thread of its own
        self._live: Live | None = None

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
        """The picture appears."""
        with self._lock:
            self._progress.start(study, limit, objective, done, mode, best)
        if self._live is None:
            self._live = _live(self._stream, self._drawn)
            self._live.start()
        self._say(self._progress.opening())

    def trial_started(self, number: int, values: Values) -> None:
        """One more runs."""
        with self._lock:
            self._progress.begin(number, values)

    def epoch(self, number: int, epoch: int, value: float) -> None:
        """Its epoch and value."""
        with self._lock:
            self._progress.epoch(number, epoch, value)

    def trial_ended(
        self, number: int, status: str, value: float | None, reason: str | None
    ) -> None:
        """What ended with a cause stays on the screen, above the picture."""
        with self._lock:
            self._progress.end(number, status, value)
        if status == "failed":
            self._say(ending(number, reason, status), style="red")
        elif reason:
            self._say(ending(number, reason, status))

    def note(self, text: str) -> None:
        """A line above the picture."""
        self._say(plain(text))

    def close(self) -> None:
        """The picture goes, a line that sums up stays."""
        live, self._live = self._live, None
        if live is not None:
            live.stop()
            live.console.print(self._progress.closing(), markup=False, highlight=False)

    def _say(self, text: str, style: str | None = None) -> None:
        if self._live is not None:
            self._live.console.print(text, style=style, markup=False, highlight=False)

    def _drawn(self) -> RenderableType:
        from rich.console import Group

        with self._lock:
            return Group(_bar(self._progress), _details(self._progress))


def _live(stream: TextIO, drawn: Callable[[], RenderableType]) -> Live:
    from rich.live import Live

    return Live(
        console=_console(stream),
        get_renderable=drawn,
        refresh_per_second=_REDRAWS_A_SECOND,
        transient=True,
        redirect_stdout=sys.stdout is sys.stderr,  # else what is printed there would land here
    )


def _console(stream: TextIO) -> Console:
    """It follows `sys.stderr`, through which others' lines come to it."""
    from rich.console import Console

    return Console(stderr=True) if stream is sys.stderr else Console(file=stream)


def _bar(progress: Progress) -> Table:
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    left = progress.remaining()
    times = f"{duration(progress.seconds)}" + (f"  {duration(left)} left" if left else "")
    line = Table.grid(padding=(0, 2), expand=True)
    line.add_column(no_wrap=True, overflow="ellipsis", max_width=28)
    line.add_column(ratio=1, min_width=8)
    line.add_column(no_wrap=True)
    line.add_row(
        Text(plain(progress.study), style="bold"),
        ProgressBar(total=max(1, progress.limit), completed=progress.done),
        f"{progress.done}/{progress.limit} trials  {times}",
    )
    return line


def _details(progress: Progress) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2), expand=True)
    table.add_column(no_wrap=True, style="bold", min_width=len("running"))
    # Without a ratio rich crops the table, and a line that is too long ends without "…".
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    if progress.best is not None:
        number, value, values = progress.best
        found = f"{plain(progress.objective)} {value:.4g} in trial {number}"
        table.add_row("best", Text(found, style="green"))
        table.add_row("", Text(described(values), overflow="fold", no_wrap=False))
    label = "running"
    for number, values in list(progress.running.items())[:_MOST_RUNNING]:
        epoch = progress.epochs.get(number)
        state = "started" if epoch is None else f"epoch {epoch[0]}  {epoch[1]:.4g}"
        running = f"trial {number}  {state:<17}  {described(values)}"
        table.add_row(label, Text(running, overflow="ellipsis", no_wrap=True))
        label = ""
    hidden = len(progress.running) - _MOST_RUNNING
    if hidden > 0:
        table.add_row("", f"and {hidden} more")
    if progress.counts():
        failed = progress.ended["failed"]
        text = Text(progress.counts())
        text.highlight_words([f"{failed} failed"], style="red")
        table.add_row("ended", text)
    return table

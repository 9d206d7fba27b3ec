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
from typing import Final, TextIO

from qstore_ray.cli.progress.pace import Fact, Pace, count, duration
from qstore_ray.cli.progress.views import Bar, Lines, View
from qstore_ray.track.base import Record
from qstore_ray.track.logs.logging import get_logger, logged_as
from qstore_ray.track.records import EndRecord, StartRecord, StepRecord
from qstore_ray.wording import decimal

_ENDINGS: Final = {"finished": "finished", "failed": "FAILED", "interrupted": "interrupted"}


class ProgressBar:
    """Shows one run from its records. Fed by the follower's thread.

    Args:
        unit: what an epoch is called: "round" for a federation.
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
        unit: str = "epoch",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream
        self._quiet = quiet
        self._clock = clock
        self._pace = Pace(unit)
        self._view: View | None = None

    def start(self, record: StartRecord) -> None:
        """An attempt begins: the first one, or one that resumes from a checkpoint."""
        self._pace.start(record)
        if self._quiet:
            return
        if self._view is None:
            stream = self._stream or sys.stderr
            self._view = Bar(stream) if is_terminal(stream) else Lines(stream, self._clock)
        self._view.start(self._pace, _opening(record, self._pace.unit))

    def step(self, record: StepRecord) -> None:
        """A step was done; a line is too much for that, the bar moves."""
        self._pace.step(record)
        if self._view is not None:
            self._view.step(self._pace, [Fact(1, f"loss {decimal(record['loss'])}")])

    def within(self, share: float) -> None:
        """So much of the epoch under way is done."""
        self._pace.within(share)
        if self._view is not None:
            self._view.step(self._pace, [])

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
            epochs = f"{self._pace.epochs_done} of {count(self._pace.epochs, self._pace.unit)}"
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


def is_terminal(stream: TextIO) -> bool:
    """Whether a picture can be drawn there that redraws itself."""
    return stream.isatty() and os.environ.get("TERM", "") not in {"dumb", "unknown"}


def _opening(record: StartRecord, unit: str) -> str:
    facts = [f"training {count(int(record['epochs']), unit)}"]
    if "rows" in record:
        facts.append(f"of {count(int(record['rows']), 'row')}")
    if "parameters" in record:
        facts.append(f"with {count(int(record['parameters']), 'parameter')}")
    if record.get("workers"):
        facts.append(f"on {count(int(record['workers']), 'worker')}")
    if "clients" in record:
        facts.append(f"of {count(int(record['clients']), 'client')}")
    step = int(record.get("resumed_from_step", 0))
    after = "step" if unit == "epoch" else unit
    return " ".join(facts) + (f", continuing after {after} {step:,}" if step else "")


def _scores(record: Record) -> list[Fact]:
    """Losses and accuracies of an epoch, also on the validation rows if the dataset has any."""
    names = {"train_loss": (1, "loss"), "val_loss": (5, "val loss")}
    if "val_accuracy" in record:
        names["val_accuracy"] = (2, "val accuracy")
    else:
        names["train_accuracy"] = (2, "accuracy")
    clients = [Fact(2, count(int(record["clients"]), "client"))] if "clients" in record else []
    return clients + [
        Fact(rank, f"{label} {decimal(record[name])}")
        for name, (rank, label) in names.items()
        if name in record
    ]

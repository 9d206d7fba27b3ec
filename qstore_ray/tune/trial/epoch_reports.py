"""The epochs of a trial's training: collected, scored, and reported when a decision is due."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

from qstore_ray.errors import DataError, DivergenceError, unknown_name_error
from qstore_ray.track.base import Record, RunInfo, Status
from qstore_ray.train.callbacks.base import Callback
from qstore_ray.train.callbacks.run import Run
from qstore_ray.tune.metrics import is_optional
from qstore_ray.tune.objective import Objective
from qstore_ray.tune.trial.attempt import Link
from qstore_ray.types import ReadOnlyTable

_SECONDS_BETWEEN_REPORTS = 1.0


class EpochReporter:
    """Collects the epochs of one training, and reports them when a decision is due.

    Args:
        decides: epochs done → whether the scheduler may act; other epochs wait for the next one
            that does, a second at most.
        clock: seconds, of which only differences matter.
    """

    def __init__(
        self,
        link: Link,
        objective: Objective,
        decides: Callable[[int], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._link = link
        self._objective = objective
        self._decides = decides
        self._clock = clock
        self._began = self._reported = clock()
        self._epochs: list[tuple[int, float]] = []
        self._latest: Record = {}

    def add(self, record: Record) -> None:
        """Take the record of an epoch.

        Raises:
            UnknownNameError: it lacks the objective's metric.
            DivergenceError: the metric is NaN or infinite.
        """
        self._latest = dict(record)
        self._epochs.append((int(record["epoch"]), value_of(self._objective, record)))

    def is_due(self) -> bool:
        """Whether it is time to report."""
        if not self._epochs or self._link.stopping.is_set():
            return False
        late = self._clock() - self._reported >= _SECONDS_BETWEEN_REPORTS
        return late or any(self._decides(number + 1) for number, _ in self._epochs)

    def report(self) -> None:
        """Report what was taken since the last report; waits for the answer."""
        epoch, value = self._epochs[-1]
        now = self._reported = self._clock()
        self._link.report(
            {
                "done": False,
                "epoch": epoch + 1,
                "score": score(self._objective, value),
                "seconds": now - self._began,
                "circuit_evaluations": self._latest.get("circuit_evaluations", 0),
                "progress": self.left(),
            }
        )

    def left(self) -> list[tuple[int, float]]:
        """The epochs that were not reported yet, each with its value; they count as reported."""
        epochs, self._epochs = self._epochs, []
        return epochs


class ReportEpochs(Callback):
    """Reports at the beginning of the next epoch, when the last one is on its way to the disk.

    For a training in the trial's own process: it waits there for the scheduler's decision. After
    the last epoch there is nothing to decide.
    """

    comes_last: ClassVar[bool] = True

    def __init__(self, reporter: EpochReporter) -> None:
        self._reporter = reporter

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self  # of one run only, and tied to it

    def on_epoch_end(self, run: Run, record: Record) -> None:
        """Take the epoch."""
        self._reporter.add({**record, **run.logged})

    def on_epoch_begin(self, run: Run) -> None:
        """Report, and wait; the checkpoint of the epoch is on disk, for any trial that takes it."""
        if self._reporter.is_due():
            run.journal.settle()
            self._reporter.report()


class FollowEpochs:
    """The same for a training in Ray Train workers, fed from its metrics file.

    The training does not wait for the scheduler, only this thread does.
    """

    name = "search"

    def __init__(self, reporter: EpochReporter) -> None:
        self._reporter = reporter

    def start(self, run: RunInfo) -> None:
        """Nothing to prepare."""

    def epoch(self, record: Record) -> None:
        """Take the epoch, and report."""
        self._reporter.add(record)
        if self._reporter.is_due():
            self._reporter.report()

    def finish(self, status: Status, summary: ReadOnlyTable, artifacts: Sequence[Path]) -> None:
        """Nothing to finish."""


def score(objective: Objective, value: float) -> float:
    """The value with its sign such that larger is better."""
    return value if objective.larger_is_better else -value


def value_of(objective: Objective, metrics: Record) -> float:
    """The objective's metric.

    Raises:
        UnknownNameError: it is not there.
        DataError: the rows of val do not define it.
        DivergenceError: it is NaN or infinite.
    """
    if objective.metric not in metrics and is_optional(objective.metric):
        raise DataError(
            "the validation rows of this trial do not define the metric",
            field="tune.objectives",
            value=objective.metric,
            fix="Take val_loss, or larger or stratified val rows; the warnings in the run folder's "
            "metrics.jsonl say what is missing.",
        )
    if objective.metric not in metrics:
        names = [name for name, value in metrics.items() if isinstance(value, int | float)]
        raise unknown_name_error("metric", objective.metric, names, field="tune.objectives")
    value = float(metrics[objective.metric])
    if not math.isfinite(value):
        raise DivergenceError(
            f"{objective.metric} is {value}",
            field=objective.metric,
            value=str(value),
            fix="Take a smaller learning rate into the space.",
        )
    return value

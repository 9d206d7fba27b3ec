"""Progress of a federation: the bar also moves when a client of the round under way has trained."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TextIO

from qstore_ray.cli.progress.progress import ProgressBar
from qstore_ray.track.base import Record
from qstore_ray.track.records import EndRecord, StartRecord, StepRecord


class RoundsProgress:
    """Shows one federation. Fed by the follower's thread, and by the server's between answers.

    Args:
        stream: where to write; stderr if left out. clock: seconds that only grow.
    """

    def __init__(
        self, stream: TextIO | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._bar = ProgressBar(stream, unit="round", clock=clock)
        self._lock = threading.Lock()

    def answered(self, count: int, asked: int) -> None:
        """See `ShowsAnswers`."""
        with self._lock:
            self._bar.within(count / max(1, asked))

    def start(self, record: StartRecord) -> None:
        """An attempt begins."""
        with self._lock:
            self._bar.start(record)

    def step(self, record: StepRecord) -> None:
        """Do nothing: the server sees no steps."""

    def epoch(self, record: Record) -> None:
        """A round was committed."""
        with self._lock:
            self._bar.epoch(record)

    def end(self, record: EndRecord) -> None:
        """The attempt ended."""
        with self._lock:
            self._bar.end(record)

    def close(self) -> None:
        """Leave the terminal as it was."""
        with self._lock:
            self._bar.close()

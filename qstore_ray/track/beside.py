"""Trackers of this package in the sidecar: the driver process does not import MLflow or wandb.

A call of a tracker's thread is a call in the sidecar, and waits for it; an error comes back as it
was raised. A tracker that announces something announces it in the driver process.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from qstore_ray.sidecar.process import TRACKERS, Sidecar, sidecar
from qstore_ray.sidecar.server import end_lane, tell
from qstore_ray.track.base import Record, RunInfo, Status, Tracker
from qstore_ray.track.config import TrackConfig
from qstore_ray.track.follow import open_trackers
from qstore_ray.track.logs.logging import announce, announce_by
from qstore_ray.types import ReadOnlyTable

_OURS: Final = "qstore_ray."
_numbers = itertools.count()


def open_trackers_beside(config: TrackConfig) -> tuple[Tracker, ...]:
    """The trackers that the configuration asks for, in the sidecar where they can be.

    A tracker of another package stays in the driver process, which has what it may depend on. So
    do all with a configuration of a class of the user's, which may be of no module, and one that
    measures the driver process.
    """
    trackers = open_trackers(config)
    if config.mlflow_system_metrics or not type(config).__module__.startswith(_OURS):
        return trackers
    return tuple(
        TrackerBeside(tracker) if type(tracker).__module__.startswith(_OURS) else tracker
        for tracker in trackers
    )


class TrackerBeside:
    """A tracker that runs in the sidecar. Used in the driver process, in its own thread."""

    def __init__(self, tracker: Tracker) -> None:
        self.name = tracker.name
        self.longest_wait: str = getattr(tracker, "longest_wait", "")
        self._tracker = tracker
        self._lane = f"{tracker.name}-{next(_numbers)}"
        self._sidecar: Sidecar | None = None

    def start(self, run: RunInfo) -> None:
        """See `Tracker`; starts the sidecar if it does not run.

        Raises:
            RunError: as the tracker does, or the sidecar ended.
        """
        self._run = run
        started = sidecar(TRACKERS)
        started.submit(self._lane, _start, self._lane, self._tracker, run).result()
        self._sidecar = started

    def epoch(self, record: Record) -> None:
        """See `Tracker`.

        Raises:
            RunError: as the tracker does, or the sidecar ended.
        """
        self._running().submit(self._lane, _epoch, self._lane, record).result()

    def finish(self, status: Status, summary: ReadOnlyTable, artifacts: Sequence[Path]) -> None:
        """See `Tracker`.

        Raises:
            RunError: as the tracker does, or the sidecar ended.
        """
        call = self._running().submit(
            self._lane, _finish, self._lane, status, dict(summary), list(artifacts)
        )
        call.result()

    def _running(self) -> Sidecar:
        """The sidecar with the tracker in it; another one if the first ended."""
        if self._sidecar is None or not self._sidecar.usable:
            self.start(self._run)
        assert self._sidecar is not None, "set by `start`"
        return self._sidecar


# ---------------------------------------------------------------------------------- in the sidecar

_trackers: dict[str, Tracker] = {}


def _start(lane: str, tracker: Tracker, run: RunInfo) -> None:
    announce_by(lambda kind, text: tell(announce, kind, text))
    _trackers.setdefault(lane, tracker).start(run)


def _epoch(lane: str, record: Record) -> None:
    _trackers[lane].epoch(record)


def _finish(lane: str, status: Status, summary: ReadOnlyTable, artifacts: Sequence[Path]) -> None:
    try:
        _trackers.pop(lane).finish(status, summary, artifacts)
    finally:
        end_lane(lane)

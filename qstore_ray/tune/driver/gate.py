"""The runs of trials begin in a tracker after the run of their study."""

from __future__ import annotations

import threading
import time
from typing import Final

from qstore_ray.errors import RunError
from qstore_ray.track.base import RunInfo, Tracker

_LONGEST_WAIT: Final = 300.0
_REST: Final = 30.0


class Gate:
    """Whether the runs of trials may begin in one tracker. Shared by its threads in the driver.

    Args:
        rest: seconds in which nothing is tried after a trial's run could not begin.
    """

    def __init__(self, rest: float = _REST) -> None:
        self._rest = rest
        self._tried = threading.Event()
        self._open = False
        self._closed_until = 0.0

    def set(self, opened: bool) -> None:
        """The study's run has begun, or could not."""
        self._open = opened
        self._tried.set()

    def close_for_a_while(self) -> None:
        """A trial's run could not begin."""
        self._closed_until = time.monotonic() + self._rest

    def check(self, tracker: str) -> None:
        """Wait until the study's run was tried.

        Raises:
            RunError: it could not begin, or the tracker was out of reach moments ago.
        """
        tried = self._tried.wait(_LONGEST_WAIT)
        if tried and self._open and time.monotonic() >= self._closed_until:
            return
        raise RunError(
            "trials wait until it can be reached",
            field="track",
            value=tracker,
            fix="They are recorded later; if the search ends before, by sync_run('STUDY').",
        )


class StudyTracker:
    """The tracker of the study's own run: opens the gate. Used in its thread in the driver."""

    def __init__(self, tracker: Tracker, gate: Gate) -> None:
        self.name = tracker.name
        self.epoch, self.finish = tracker.epoch, tracker.finish
        self._start = tracker.start
        self._gate = gate

    def start(self, run: RunInfo) -> None:
        """Begin the run, and let those of trials begin, or not.

        Raises:
            RunError: as the tracker says.
        """
        opened = False
        try:
            self._start(run)
            opened = True
        finally:
            self._gate.set(opened)


class TrialTracker:
    """The tracker of a trial's run: waits at the gate. Used in its thread in the driver."""

    def __init__(self, tracker: Tracker, gate: Gate) -> None:
        self.name = tracker.name
        self.epoch, self.finish = tracker.epoch, tracker.finish
        self._start = tracker.start
        self._gate = gate

    def start(self, run: RunInfo) -> None:
        """Begin the run once that of the study exists.

        Raises:
            RunError: the study's run is not there, or as the tracker says.
        """
        self._gate.check(self.name)
        opened = False
        try:
            self._start(run)
            opened = True
        finally:
            if not opened:
                self._gate.close_for_a_while()

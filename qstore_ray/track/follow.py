"""Following a run: from metrics.jsonl to the trackers and the progress display.

The follower runs in the driver process. Ten times a second it reads what was appended to the file
and hands it on: to the display at once, to each tracker through a lane, which is a thread and the
list of records that still have to go through it. So neither the training nor the display waits
for a tracker, and a tracker that fails keeps its place in the list and is tried again later.
Nothing can be lost by that: the file is the truth, trackers are copies.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from qstore_ray.deadline import join_patiently
from qstore_ray.errors import QStoreError, RunError
from qstore_ray.track.base import KEPT, TRACKERS, Display, Outcome, Record, RunInfo, Status, Tracker
from qstore_ray.track.config import TrackConfig
from qstore_ray.track.lane import RETRY_SECONDS, Lane
from qstore_ray.track.logs.logging import announce, logged_as
from qstore_ray.track.tail import Tail
from qstore_ray.types import ReadOnlyTable

TrackerFailure = tuple[str, BaseException]
"""Which tracker failed, and with what."""

_POLL_SECONDS = 0.1
_HELD_BACK_SECONDS = 10.0
"""Trackers begin at the first step, or after this time: importing one takes seconds of CPU time, of
which the first step has better use."""
_LONG_STEP_SECONDS = 30.0
"""After this time without a step it is said: a wide circuit may need hours for one."""
_LONG_STEP = (
    f"no step is done after {_LONG_STEP_SECONDS:.0f} s; estimate_job() says how long a step of a "
    "job file takes"
)


def open_trackers(config: TrackConfig) -> tuple[Tracker, ...]:
    """The trackers that the configuration asks for; none of them has connected yet."""
    return tuple(TRACKERS[name](config, **options) for name, options in config.wanted().items())


class Follower:
    """Feeds one run's records to its trackers and its display until it is stopped.

    Args:
        run: the run; its metrics file need not exist yet.
        trackers: where to record it.
        display: who shows it; sees only records that are written after `start`.
        retry_seconds: how long a tracker that failed is left alone.
        said: warnings that were given already and are not repeated; runs that are followed side by
            side may share them.
        describes: write what `sync` needs into the run folder; not where another process does.
        at_first_step: called once, by the follower's thread, when trackers may begin.
    """

    def __init__(
        self,
        run: RunInfo,
        trackers: Sequence[Tracker] = (),
        display: Display | None = None,
        *,
        retry_seconds: float = RETRY_SECONDS,
        said: set[str] | None = None,
        describes: bool = True,
        at_first_step: Callable[[], None] | None = None,
    ) -> None:
        self._run = run
        self._describes = describes
        self._display = display
        self._tail = Tail(run.metrics_path)
        self._failures: list[TrackerFailure] = []
        self._said = set[str]() if said is None else said
        self._lanes = [Lane(t, run, retry_seconds, self._failed) for t in trackers]
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="follow", daemon=True)
        self._followed = False
        self._begin_trackers_at = float("inf")
        self._at_first_step = at_first_step
        self._long_step_at = float("inf")

    @property
    def incomplete(self) -> list[str]:
        """After `stop`: names of the trackers that do not have everything; `sync` them later."""
        return [lane.name for lane in self._lanes if not lane.complete]

    def start(self) -> None:
        """Begin to follow; call it before training begins. Trackers start in their own threads, at
        the first step or some seconds later.

        Raises:
            RunError: the run folder cannot be written to.
        """
        for part in self._run.run_dir.glob(".*.part"):  # of a driver that was killed
            if part.name.startswith(tuple(f".{name}." for name in KEPT)):
                part.unlink(missing_ok=True)
        if self._describes:
            self._run.save()
        self._begin_trackers_at = time.monotonic() + _HELD_BACK_SECONDS
        self._hand_on(shown=False)
        self._thread.start()

    def conclude(
        self,
        status: Status,
        summary: ReadOnlyTable | None = None,
        artifacts: Sequence[Path] = (),
    ) -> None:
        """Write into the run folder how the run ended, before any tracker is asked; see `stop`.

        Whoever is stopped while it waits for a tracker has not lost it, and `sync` knows it.

        Raises:
            RunError: the run folder cannot be written to.
        """
        self._run.save(Outcome(status=status, summary=summary or {}, artifacts=artifacts))

    def stop(
        self,
        status: Status = "finished",
        summary: ReadOnlyTable | None = None,
        artifacts: Sequence[Path] = (),
    ) -> list[TrackerFailure]:
        """Read what is left, finish the trackers, wait for them; every error there was.

        An error that was made up for is in the list too; `incomplete` says what is still missing.
        Call it once, after `start`.
        """
        self._stopping.set()
        join_patiently(self._thread, "the display and trackers of the run")
        if not self._followed:
            self._failed(
                "metrics.jsonl", RunError("was not followed to its end; see the traceback")
            )
        self._tail.close()
        self._show(None)
        outcome = Outcome(status=status, summary=summary or {}, artifacts=artifacts)
        try:
            if self._describes:
                self._run.save(outcome)
        except RunError as exc:
            self._failed("tracking.json", exc)
        for lane in self._lanes:
            lane.close(outcome)
        return list(self._failures)

    def _follow(self) -> None:
        while not self._stopping.wait(_POLL_SECONDS):
            self._hand_on()
        self._hand_on()
        self._followed = True

    def _hand_on(self, shown: bool = True) -> None:
        for record in self._tail.read():
            self._mind_the_clock(record)
            if record.get("event") == "epoch":
                for lane in self._lanes:
                    lane.offer(record)
            if shown and record.get("event") in ("warning", "note"):
                self._say(record["event"], str(record.get("message")))
            elif shown:
                self._show(record)
        for error in self._tail.take_errors():
            self._failed("metrics.jsonl", error)
        if time.monotonic() >= self._begin_trackers_at:
            self._prepare()
            for lane in self._lanes:
                lane.pump()
        if time.monotonic() >= self._long_step_at:
            self._long_step_at = float("inf")
            self._say("note", _LONG_STEP)

    def _mind_the_clock(self, record: Record) -> None:
        event = record.get("event")
        if event in ("step", "epoch"):
            self._begin_trackers_at = 0.0
        if event in ("step", "epoch", "end"):
            self._long_step_at = float("inf")
        elif event == "start" and self._display is not None and "clients" not in record:
            self._long_step_at = time.monotonic() + _LONG_STEP_SECONDS

    def _prepare(self) -> None:
        prepare, self._at_first_step = self._at_first_step, None
        try:
            if prepare is not None:
                prepare()
        except QStoreError as exc:
            self._failed("the sidecar", exc)

    def _show(self, record: Record | None) -> None:
        """Show a record, None to close; a terminal that went away ends the display, not the run."""
        if self._display is None:
            return
        calls: dict[str | None, Callable[[Any], None]] = {
            "start": self._display.start,
            "step": self._display.step,
            "epoch": self._display.epoch,
            "end": self._display.end,
        }
        try:
            if record is None:
                self._display.close()
            elif record.get("event") in calls:
                calls[record["event"]](record)
        except OSError as exc:
            self._display = None
            self._failed("the progress display", exc)

    def _failed(self, name: str, error: BaseException) -> None:
        self._failures.append((name, error))
        kind = "" if isinstance(error, QStoreError) else f"{type(error).__name__}: "
        self._say("warning", f"{name}: {kind}{error}")

    def _say(self, kind: Literal["warning", "note"], text: str) -> None:
        """Say it once: a server that is away for hours would fill the log."""
        if text in self._said:
            return
        self._said.add(text)
        with logged_as(run=self._run.name):
            announce(kind, text)

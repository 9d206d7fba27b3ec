"""Follows the runs of a folder, and logs and reports what the rules find.

    with RunWatcher("runs", notifiers) as watcher:
        while True:
            watcher.poll()
            time.sleep(1.0)

Each round lists the folder, reads what was added to the metrics files, and judges it. A run that
has ended is passed over until its file changes. In an object store, what is new is fetched first.
Runs are never written to; the log of alerts lies beside them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

from qstore_ray.errors import QStoreError
from qstore_ray.ops.alerts import ALERTS, Alert, AlertLog
from qstore_ray.ops.notify.base import Notifier
from qstore_ray.ops.rules import Rule, RuleEvent
from qstore_ray.ops.watch.followed import WatchedRun
from qstore_ray.ops.watch.memory import holder_of, tree_memory
from qstore_ray.ops.watch.reporter import AlertReporter
from qstore_ray.ops.watch.runs import run_name, runs_and_trials
from qstore_ray.ops.watch.standing import attempt_of, held, stands
from qstore_ray.storage.address import origin_of, storage_folder
from qstore_ray.storage.contents import METRICS, RECORD
from qstore_ray.train.run.origin import refresh

_NEEDED: Final = (METRICS, RECORD, "config.toml")
_MEMORY_SECONDS: Final = 10.0


class WatchClocks(NamedTuple):
    """A steady clock that measures, and the one of the wall that dates alerts."""

    steady: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time


class RunWatcher:
    """Follows the runs of one folder, those of searches too.

    Args:
        storage: the folder of the runs, or its address.
        notifiers: get every alert that this watcher opens or closes.
        clocks: of the samples and of the alerts.

    Attributes:
        problems: what could not be read or written, each once: the run's name or the log's, and
            why.
        rounds: how many there were, without those that an error has ended early.

    Raises:
        ConfigError: not a folder, and not an address of an object store.
    """

    def __init__(
        self,
        storage: str | Path,
        notifiers: Sequence[Notifier] = (),
        clocks: WatchClocks = WatchClocks(),  # noqa: B008 - a tuple of two functions
    ) -> None:
        self._storage, self._clocks = str(storage), clocks
        self._log = AlertLog(storage)
        self._reporter = AlertReporter(self._log, notifiers)
        self._known: dict[Path, tuple[int, int]] = {}
        self._followed: dict[Path, WatchedRun] = {}
        self._memory: dict[int, float] = {}
        self._measured = float("-inf")
        self.rounds = 0
        self.problems: dict[tuple[str, str], None] = {}

    def poll(self) -> list[Alert]:
        """One round; the alerts that it has opened or closed.

        A log that cannot be written is a problem, and no reason to be silent: see `AlertReporter`.

        Raises:
            UsageError: the folder is no folder, or may not be read.
            StorageError: the object store cannot be used.
            RunError: the log of alerts cannot be read.
        """
        changed = self._reporter.catch_up()
        paths = runs_and_trials(self._storage)
        changed += self._closed_stale(paths)
        self.rounds += 1
        for gone in self._followed.keys() - set(paths):
            self._followed.pop(gone).close()
        at = self._clocks.steady()
        self._measure(at)
        for path in paths:
            if self._needs_reading(path):
                changed += self._read(path, at)
        if self._reporter.problem is not None:
            self.problems[ALERTS, self._reporter.problem.message] = None
        return changed

    @property
    def running(self) -> int:
        """Runs that are followed and have not ended, as of the last round."""
        return sum(not run.ended for run in self._followed.values())

    def close(self) -> None:
        """Close the files; the caller closes the notifiers."""
        for run in self._followed.values():
            run.close()
        self._followed.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _needs_reading(self, path: Path) -> bool:
        """Whether a run is running, or has written since the last round."""
        try:
            found = (path / METRICS).stat()
            signature = (found.st_ino, found.st_size)
        except OSError:  # not yet, or not ours to read: reading it says so
            signature = (0, 0)
        first = self.rounds == 1
        before = self._known.setdefault(path, signature if first else (0, -1))
        self._known[path] = signature
        followed = self._followed.get(path)
        running = followed is not None and not followed.ended
        # A lock is asked for only where it is needed: a training that begins must find it free.
        return running or signature != before or (first and held(path) is not False)

    def _read(self, path: Path, at: float) -> Iterator[Alert]:
        run = self._followed.get(path)
        is_new = run is None
        if run is None:
            run = self._followed[path] = WatchedRun(path, run_name(path, self._storage))
        try:
            if origin_of(path) is not None and path.parent != storage_folder(self._storage):
                refresh(path, _NEEDED)  # a trial; runs were fetched for the list
            known = self._known_of(run.name) if is_new else ()  # before its records are read
            memory = self._memory.get(holder_of(path) or 0)
            found = run.poll(at, held=held(path), memory_mib=memory, known=known)
        except QStoreError as exc:
            self.problems[run.name, exc.message] = None
            return
        for problem in run.take_problems():
            self.problems[run.name, problem.message] = None
        for rule, event in found:
            if (alert := self._logged(run.name, rule, event)) is not None:
                yield alert

    def _logged(self, run: str, rule: Rule, event: RuleEvent) -> Alert | None:
        """The alert that was opened or closed; None if another watcher has done it."""
        attempt = attempt_of(storage_folder(self._storage) / run)
        return self._reporter.event(run, rule, event, self._clocks.wall(), attempt)

    def _known_of(self, run: str) -> set[str]:
        return {alert.rule for alert in self._log.read() if alert.is_open and alert.run == run}

    def _closed_stale(self, paths: Sequence[Path]) -> Iterator[Alert]:
        """Close what was left open of runs that are gone; in the first round also of those that
        ended, or began again, while nobody watched.
        """
        folder, here = storage_folder(self._storage), set(paths)
        for alert in self._log.read():
            path = folder / alert.run
            if alert.is_open and (
                path not in here or (not self.rounds and not stands(alert, path))
            ):
                closed = self._reporter.close(alert.run, alert.rule, self._clocks.wall())
                if closed is not None:
                    yield closed

    def _measure(self, at: float) -> None:
        if at - self._measured >= _MEMORY_SECONDS:
            self._measured = at
            paths = [path for path, run in self._followed.items() if not run.ended]
            pids = [pid for path in paths if (pid := holder_of(path)) is not None]
            self._memory = tree_memory(pids) if pids else {}

"""Alerts from within a training: a tracker that watches the run that it belongs to.

    [track.alerts]
    webhook = "https://hooks.example.org/qstore"
    secret_file = "~/.qstore-webhook-secret"

It runs in the driver, in threads of its own, reads the run folder, and changes nothing: with it a
training has the same parameters to the last bit.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from qstore_ray.deadline import join_patiently
from qstore_ray.errors import QStoreError, RunError
from qstore_ray.ops.alerts import AlertLog
from qstore_ray.ops.notify.base import Notifier
from qstore_ray.ops.notify.log import LogNotifier
from qstore_ray.ops.notify.webhook import WebhookNotifier, find_target
from qstore_ray.ops.watch.followed import WatchedRun
from qstore_ray.ops.watch.memory import holder_of, tree_memory
from qstore_ray.ops.watch.reporter import AlertReporter
from qstore_ray.ops.watch.standing import attempt_of
from qstore_ray.track.config import AlertsConfig

if TYPE_CHECKING:
    from qstore_ray.track.base import Record, RunInfo, Status
    from qstore_ray.track.config import TrackConfig
    from qstore_ray.types import ReadOnlyTable

_POLL_SECONDS: Final = 1.0
_MEMORY_SECONDS: Final = 10.0
_LAST_SECONDS: Final = 3.0
"""How long the end of a run waits for a webhook."""


class AlertsTracker:
    """Watches one run while it is trained; see `Tracker`.

    Args:
        config: `alerts` of it says where alerts are sent.

    Raises:
        ConfigError: not the URL of a webhook, or a file with a secret that cannot be used.
    """

    name = "alerts"

    def __init__(self, config: TrackConfig) -> None:
        given = config.alerts or AlertsConfig()
        self._target = find_target(given.webhook, given.secret_file)
        self._stopping: threading.Event | None = None
        self._thread: threading.Thread | None = None
        self._errors: list[QStoreError] = []
        self._measured = float("-inf")

    def start(self, run: RunInfo) -> None:
        """Begin to watch the run."""
        self._stopping = threading.Event()  # not before: a tracker is copied when a run begins
        self._thread = threading.Thread(
            target=self._watch, args=(run, self._stopping), name="alerts", daemon=True
        )
        self._thread.start()

    def epoch(self, record: Record) -> None:
        """The run folder has the record."""

    def finish(self, status: Status, summary: ReadOnlyTable, artifacts: Sequence[Path]) -> None:
        """Judge what is left, and stop.

        Raises:
            RunError: the log of alerts, or the metrics, cannot be used.
        """
        if self._stopping is not None and self._thread is not None:
            self._stopping.set()
            join_patiently(self._thread, "the last look at the alerts of this run")
        if self._errors:
            [error], self._errors = self._errors, []
            raise RunError(error.message, field=error.field, value=error.value, fix=error.fix)

    def _watch(self, run: RunInfo, stopping: threading.Event) -> None:
        notifiers: list[Notifier] = [LogNotifier()]
        if self._target is not None:
            notifiers.append(WebhookNotifier(self._target))
        log = AlertLog(run.storage)
        reporter = AlertReporter(log, notifiers)
        name = run.run_dir.relative_to(run.storage).as_posix()
        followed = WatchedRun(run.run_dir, name)
        try:
            self._close_earlier(log, reporter, name)
            while not stopping.wait(_POLL_SECONDS):
                self._round(followed, reporter)
            self._round(followed, reporter)
            if reporter.problem is not None:  # one that is over has left nothing out of the log
                self._errors = [reporter.problem]
        finally:
            followed.close()
            for notifier in notifiers:
                notifier.close(_LAST_SECONDS)

    def _close_earlier(self, log: AlertLog, reporter: AlertReporter, name: str) -> None:
        """Close what is open of attempts before this one."""
        try:
            for alert in log.read():
                if alert.is_open and alert.run == name:
                    # gate: QS206 because an alert has its date
                    reporter.close(name, alert.rule, time.time())
        except QStoreError as exc:
            self._errors = [exc]

    def _round(self, followed: WatchedRun, reporter: AlertReporter) -> None:
        """Judge what is new; an error waits for the end of the run, and the next round comes."""
        at = time.monotonic()
        memory = None
        if at - self._measured >= _MEMORY_SECONDS:
            self._measured = at
            pid = holder_of(followed.path)
            memory = None if pid is None else tree_memory([pid]).get(pid)
        reporter.catch_up()
        try:
            for rule, event in followed.poll(at, memory_mib=memory):
                # gate: QS206 because an alert has its date
                now, attempt = time.time(), attempt_of(followed.path)
                reporter.event(followed.name, rule, event, now, attempt)
        except QStoreError as exc:
            self._errors = [exc]

"""What a watcher has found goes into the log, and to the notifiers.

The log decides who reports: of several watchers, the one that could add the line. While it cannot
be written, because the disk is full or the folder belongs to another user, an alert is reported all
the same, perhaps by each watcher: what fills the disk ends the trainings, too. The lines wait, in
their order, until they can be written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from qstore_ray.errors import RunError
from qstore_ray.ops.alerts import Alert, AlertLog
from qstore_ray.ops.notify.base import Notifier
from qstore_ray.ops.rules import Rule, RuleEvent


class WaitingLine(NamedTuple):
    """A line that could not be written: of a run and a rule, whether it opens an alert, and what
    writes it.
    """

    key: tuple[str, str]
    opens: bool
    write: Callable[[], Alert | None]


class AlertReporter:
    """Opens and closes alerts in a log, and reports each one that it has opened or closed.

    Args:
        log: of the folder of runs.
        notifiers: get every alert.

    Attributes:
        problem: why the log could not be written at the last try; None if it could.
    """

    def __init__(self, log: AlertLog, notifiers: Sequence[Notifier]) -> None:
        self._log, self._notifiers = log, notifiers
        self._waiting: list[WaitingLine] = []
        self.problem: RunError | None = None

    def event(
        self, run: str, rule: Rule, event: RuleEvent, now: float, attempt: str = ""
    ) -> Alert | None:
        """Log and report an event of a rule; the alert, or None if that was done, or has to wait.

        Args:
            now: seconds since 1970.
            attempt: see `Alert`.
        """
        if not event.opens:
            return self.close(run, rule.name, now)
        alert = Alert(
            run=run, rule=rule.name, severity=rule.severity, opened=now, value=event.value,
            threshold=event.threshold, message=event.message, fix=event.fix, attempt=attempt,
        )  # fmt: skip
        if not self._waiting:  # else the lines would not be in their order
            try:
                return self._reported(run, rule.name) if self._log.open(alert) else None
            except RunError as exc:
                self.problem = exc
        self._notify(alert)
        self._waiting.append(WaitingLine((run, rule.name), True, partial(self._opened, alert)))
        return alert

    def close(self, run: str, rule: str, now: float) -> Alert | None:
        """Close an alert, and report that; None if it was closed, or has to wait. See `event`."""
        if not self._waiting:
            try:
                return self._closed(run, rule, now)
            except RunError as exc:
                self.problem = exc
        lines = [line for line in self._waiting if line.key == (run, rule)]
        if not lines or lines[-1].opens:  # else it is to be closed already
            write = partial(self._closed, run, rule, now)
            self._waiting.append(WaitingLine((run, rule), False, write))
        return None

    def catch_up(self) -> list[Alert]:
        """Write what waits, as far as the log can be written; the alerts that this has closed."""
        done: list[Alert] = []
        self.problem = None
        try:
            while self._waiting:
                if (alert := self._waiting[0].write()) is not None:
                    done.append(alert)
                del self._waiting[0]
        except RunError as exc:
            self.problem = exc
        return done

    def _opened(self, alert: Alert) -> None:
        """Log an alert that has been reported."""
        self._log.open(alert)

    def _closed(self, run: str, rule: str, now: float) -> Alert | None:
        return self._reported(run, rule) if self._log.close(run, rule, now) else None

    def _reported(self, run: str, rule: str) -> Alert:
        alert = [each for each in self._log.read() if (each.run, each.rule) == (run, rule)][-1]
        self._notify(alert)
        return alert

    def _notify(self, alert: Alert) -> None:
        for notifier in self._notifiers:
            notifier.notify(alert)

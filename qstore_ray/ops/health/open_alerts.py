"""The log of alerts: what is open, and whether the log can be read."""

from __future__ import annotations

from collections.abc import Iterator

from qstore_ray.doctor.diagnosis import Diagnosis
from qstore_ray.ops.alerts import AlertLog
from qstore_ray.ops.health.scope import HealthScope
from qstore_ray.ops.watch.standing import standing_alerts


def examine_alerts(scope: HealthScope) -> Iterator[Diagnosis]:
    """Each open alert that still holds, the oldest first; nothing without a log.

    Raises:
        RunError: the log cannot be read.
        ConfigError: not a folder, and not an address of an object store.
    """
    log = AlertLog(scope.storage)
    alerts = log.read()
    standing = standing_alerts(alerts, scope.storage)
    for alert in standing:
        yield Diagnosis(
            f"alert {alert.run} {alert.rule}",
            "fault" if alert.severity == "critical" else "note",
            alert.message,
            alert.fix,
        )
    if log.damaged:
        yield Diagnosis(
            "alerts", "note", f"{log.damaged} damaged lines of {log.path} are passed over",
            "Delete these lines, or the file.",
        )  # fmt: skip
    if alerts:
        over = len(alerts) - len(standing)
        yield Diagnosis("alerts", "ok", f"{len(standing)} open, {over} over")

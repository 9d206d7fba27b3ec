"""The log of alerts: what is open, and whether the log can be read."""

from __future__ import annotations

from collections.abc import Iterator

from qstore_ray.doctor.diagnosis import Diagnosis
from qstore_ray.ops.alerts import AlertLog
from qstore_ray.ops.health.scope import HealthScope


def examine_alerts(scope: HealthScope) -> Iterator[Diagnosis]:
    """Each open alert, the oldest first; nothing without a log.

    Raises:
        RunError: the log cannot be read.
        ConfigError: not a folder, and not an address of an object store.
    """
    log = AlertLog(scope.storage)
    alerts = log.read()
    for alert in alerts:
        if alert.is_open:
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
        still = sum(alert.is_open for alert in alerts)
        yield Diagnosis("alerts", "ok", f"{still} open, {len(alerts) - still} closed")

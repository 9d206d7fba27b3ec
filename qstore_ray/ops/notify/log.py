"""Alerts as lines of the log, or of the command line."""

from __future__ import annotations

from collections.abc import Callable

from qstore_ray.ops.alerts import Alert
from qstore_ray.track.logs.logging import announce


class LogNotifier:
    """Writes one line for each alert.

    Args:
        write: takes the line; None announces it as a warning, on stderr.
    """

    def __init__(self, write: Callable[[str], None] | None = None) -> None:
        self._write = write

    def notify(self, alert: Alert) -> None:
        """Write the line."""
        if self._write is not None:
            self._write(alert_line(alert))
        else:
            announce("warning" if alert.is_open else "note", alert_line(alert))

    def close(self, seconds: float) -> None:
        """Every line is written."""


def alert_line(alert: Alert) -> str:
    """An alert in one line: `digits: jump (warning): the loss jumped …. Lower …`."""
    if not alert.is_open:
        return f"{alert.run}: {alert.rule} is over"
    return f"{alert.run}: {alert.rule} ({alert.severity}): {alert.message}. {alert.fix}".rstrip()

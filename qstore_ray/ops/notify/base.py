"""What a notifier is."""

from __future__ import annotations

from typing import Protocol

from qstore_ray.ops.alerts import Alert


class Notifier(Protocol):
    """Reports alerts somewhere; called when one opens and when it closes.

    Examples:
        class Printer:
            def notify(self, alert): print(alert.run, alert.message)
            def close(self, seconds): pass
    """

    def notify(self, alert: Alert) -> None:
        """Take an alert that has opened, or that has closed if `alert.closed` is a time. It returns
        at once, and raises nothing.
        """
        ...

    def close(self, seconds: float) -> None:
        """Report what is left for at most so many seconds, then stop."""
        ...

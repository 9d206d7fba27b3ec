"""The service's clock: it runs `speed` times as fast as ours."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class Clock:
    """Seconds since 1970 in service time, equal to real time at the start."""

    def __init__(self, speed: float) -> None:
        self.speed = speed
        self._epoch = time.time()
        self._started = time.monotonic()
        self._skipped = 0.0

    def now(self) -> float:
        """The moment in service time."""
        return self._epoch + (time.monotonic() - self._started) * self.speed + self._skipped

    def advance(self, seconds: float) -> None:
        """Skip `seconds` of service time."""
        self._skipped += seconds

    def real(self, seconds: float) -> float:
        """How many real seconds `seconds` of service time last."""
        return seconds / self.speed


def iso(moment: float | None) -> str | None:
    """`moment` as the service writes it, for example 2026-11-29T11:00:00.123456Z."""
    if moment is None:
        return None
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="microseconds")[:-6] + "Z"

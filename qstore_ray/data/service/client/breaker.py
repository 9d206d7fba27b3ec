"""A circuit breaker: after several failures in a row, stop asking for a while.

    closed ──failures in a row──▶ open ──pause over──▶ one trial call ──success──▶ closed
                                   ▲                          │
                                   └──────────failure─────────┘

A server that is down is not helped by being asked again at once, and a caller is better served by
an error in a microsecond than by another time-out.

Nygard, Release It!, 2nd edition, chapter 5.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock

from qstore_ray.errors import ConfigError, ServiceError


class CircuitBreaker:
    """Counts failures in a row, and refuses calls while the breaker is open.

    Args:
        name: what is protected, for the message.
        failures: failures in a row that open the breaker.
        pause: seconds until a trial call is let through.
        clock: seconds from any fixed moment; must not run backwards.
    """

    def __init__(
        self,
        name: str,
        *,
        failures: int = 5,
        pause: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if failures < 1 or not 0.0 < pause < float("inf"):
            raise ConfigError(
                "a breaker opens after 1 or more failures, for a positive time",
                field="breaker",
                value=(failures, pause),
            )
        self._name, self._limit, self._pause, self._clock = name, failures, pause, clock
        self._failures = 0
        self._open_until = float("-inf")
        self._trial = False
        self._lock = Lock()

    def check(self) -> None:
        """Let a call through, or refuse it.

        Raises:
            ServiceError: the breaker is open, or its one trial call is under way.
        """
        with self._lock:
            if self._failures < self._limit:
                return
            left = self._open_until - self._clock()
            if left <= 0.0 and not self._trial:
                self._trial = True
                return
        when = f"in {left:.1f} s" if left > 0.0 else "when the trial call has ended"
        raise ServiceError(
            f"{self._name} failed {self._limit} times in a row and is left alone; "
            f"it will be tried again {when}",
            fix="Wait, or see why the server fails.",
        )

    def succeeded(self) -> None:
        """The call came back: close."""
        with self._lock:
            self._failures, self._trial = 0, False

    def failed(self) -> None:
        """The call failed: count it, and open if it was one too many."""
        with self._lock:
            self._failures += 1
            self._trial = False
            if self._failures >= self._limit:
                self._open_until = self._clock() + self._pause

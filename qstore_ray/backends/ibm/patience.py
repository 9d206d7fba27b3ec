"""For how long a service that does not answer is asked again, and with which pauses."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from qstore_ray.backends.ibm.policy import GatewayPolicy
from qstore_ray.errors import BackendError, TransientError

T = TypeVar("T")
_log = logging.getLogger(__name__)


class Patience:
    """The pauses before requests that are made again; they double while there is no answer.

    Args:
        policy: its `first_pause`, `longest_pause` and `patience`.
    """

    def __init__(self, policy: GatewayPolicy) -> None:
        self._policy, self._silent_since = policy, -1.0
        self._is_silent = self._is_full = False
        self.pause = policy.first_pause

    def pause_after(self, exc: TransientError, now: float) -> float:
        """Seconds until the request is made again.

        A service that takes no more jobs for now is not silent: there is no end to that.

        Raises:
            TransientError: the service has been silent for `patience`.
        """
        policy = self._policy
        if exc.is_full:
            if not self._is_full:
                _log.warning(
                    "IBM's service takes no more jobs of this account until one of them, also of "
                    "another program, has ended; waiting for that"
                )
            self._is_full, self._is_silent = True, False
            return self._longer()
        if not self._is_silent:
            self._is_silent, self._silent_since = True, now
            _log.warning("%s; asking again for %.0f s", exc.message[:200], policy.patience)
        if now - self._silent_since > policy.patience:
            ended = TransientError(
                f"IBM's service has not answered for {policy.patience:.0f} s: {exc}",
                field="backend",
                fix="Resume the run later: jobs that it has accepted are found again.",
            )
            ended.status = exc.status
            raise ended from exc
        return self._longer()

    def _longer(self) -> float:
        """The pause; the next one is longer."""
        pause = self.pause
        self.pause = min(2.0 * pause, self._policy.longest_pause)
        return pause

    def answered(self, *, as_wanted: bool = True) -> None:
        """The service has answered; `as_wanted` False: not the request that it is silent about."""
        self.pause = self._policy.first_pause
        if as_wanted:
            self._is_silent = False


def patiently(
    request: Callable[[], T],
    policy: GatewayPolicy,
    closing: threading.Event,
    clock: Callable[[], float] = time.monotonic,
) -> T:
    """What a request returns, which is made again until the service answers.

    Args:
        closing: ends the wait if it is set.

    Raises:
        TransientError: the service has been silent for `patience`.
        RefusedError: it refuses the request.
        BackendError: the wait was ended.
    """
    patience = Patience(policy)
    while True:
        try:
            return request()
        except TransientError as exc:
            pause = patience.pause_after(exc, clock())
        if closing.wait(pause):
            raise BackendError("the gateway was closed before it had signed in", field="backend")

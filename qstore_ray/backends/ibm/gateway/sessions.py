"""Sessions and batches that nobody uses any more are closed at the service, or they bill on.

A session is in the ledger before its first job is submitted, and again when it is closed. So one
that a killed gateway left open is known to the next gateway, and closed by it. Jobs in it still
run.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from qstore_ray.backends.ibm.ledger.ledger import Ledger
from qstore_ray.backends.ibm.policy import GatewayPolicy
from qstore_ray.backends.ibm.service.client import IbmClient
from qstore_ray.errors import ConfigError, RefusedError, ServiceError


class LeftSessions:
    """Closes the sessions of the ledger that the client is not in. Used by one thread alone.

    Args:
        policy: how to wait if the service does not answer.
        clock: seconds.
    """

    def __init__(
        self, client: IbmClient, ledger: Ledger, policy: GatewayPolicy, clock: Callable[[], float]
    ) -> None:
        self._client, self._ledger, self._policy, self._clock = client, ledger, policy, clock
        self._wake, self._pause = clock(), policy.first_pause

    @property
    def left(self) -> tuple[str, ...]:
        """The sessions that are to be closed."""
        return tuple(s for s in self._ledger.open_sessions if s != self._client.session.id)

    def next_time(self) -> float:
        """When `advance` is to be called next."""
        return self._wake if self.left else float("inf")

    def advance(self) -> bool:
        """Close one session, if it is time; whether the service was asked.

        Raises:
            LedgerError: it cannot be recorded.
        """
        if self.next_time() > self._clock():
            return False
        try:
            self._close(self.left[0])
        except (ServiceError, ConfigError):  # a key that is refused ends the next step of a job
            self._wake = self._clock() + self._pause
            self._pause = min(2.0 * self._pause, self._policy.longest_pause)
        else:
            self._wake, self._pause = self._clock(), self._policy.first_pause
        return True

    def last(self) -> None:
        """Close all sessions, also the client's own.

        Raises:
            ServiceError, ConfigError: the service does not answer, or refuses the key.
            LedgerError: it cannot be recorded.
        """
        own = self._client.session.id
        self._client.close()
        if own in self._ledger.open_sessions:
            self._ledger.session_closed(own)
        for session in self.left:
            self._close(session)

    def _close(self, session: str) -> None:
        with suppress(RefusedError):  # it has ended
            self._client.close_session(session)
        self._ledger.session_closed(session)

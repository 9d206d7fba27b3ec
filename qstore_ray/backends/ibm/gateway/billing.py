"""What ended jobs cost, asked for until the service knows, and what the account has left.

The service computes the usage of a job some time after its end. It is asked once at the end, and
then with pauses that grow fourfold, a few times; the next gateway asks again. So a job counts with
its forecast only for as long as nobody knows better, and a question costs little.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from qstore_ray.backends.ibm.ledger.ledger import Ledger
from qstore_ray.backends.ibm.policy import GatewayPolicy
from qstore_ray.backends.ibm.service.client import IbmClient
from qstore_ray.errors import ConfigError, ServiceError, TransientError

_ACCOUNT_SECONDS: Final = 60.0
"""How long the answer to what the account has left is used."""
_GROWTH: Final = 4.0
_MOST: Final = 4
"""Questions about a job after the first one, before the gateway closes."""
_AT_CLOSE: Final = 20


@dataclass
class _Bill:
    pause: float
    wake: float
    left: int = _MOST


class PendingBills:
    """Asks for the usage of ended jobs, and records it. Used by the gateway's thread alone.

    Args:
        policy: its `first_bill`.
        clock: seconds.
    """

    def __init__(
        self,
        client: IbmClient,
        ledger: Ledger,
        policy: GatewayPolicy,
        clock: Callable[[], float],
    ) -> None:
        self._client, self._ledger, self._clock = client, ledger, clock
        self._first_pause = policy.first_bill
        self._bills: dict[tuple[str, str], _Bill] = {}

    @property
    def pending(self) -> tuple[tuple[str, str], ...]:
        """Keys and ids of the jobs whose usage is not known."""
        return tuple(self._bills)

    def take_up(self) -> None:
        """Ask soon for every job of the ledger that has ended and whose usage is not known."""
        for key, record in self._ledger.records.items():
            for job_id in record.unbilled:
                self._bills[key, job_id] = _Bill(self._first_pause, self._clock())

    def ask(self, key: str, job_id: str) -> None:
        """Ask for a job that has just ended; if the service does not know yet, again later."""
        if not self._known(key, job_id):
            pause = self._first_pause
            self._bills[key, job_id] = _Bill(_GROWTH * pause, self._clock() + pause)

    def next_time(self) -> float:
        """When `advance` is to be called next."""
        times = (bill.wake for bill in self._bills.values() if bill.left)
        return min(times, default=float("inf"))

    def advance(self) -> None:
        """Make one question that is due.

        Raises:
            LedgerError: the answer cannot be recorded.
        """
        due = [(bill.wake, name) for name, bill in self._bills.items() if bill.left]
        if not due or min(due)[0] > self._clock():
            return
        _, (key, job_id) = min(due)
        if self._known(key, job_id):
            del self._bills[key, job_id]
            return
        bill = self._bills[key, job_id]
        bill.left, bill.wake = bill.left - 1, self._clock() + bill.pause
        bill.pause *= _GROWTH
        if not bill.left:
            self._client.forget(job_id)

    def last(self, most: int | None = _AT_CLOSE) -> None:
        """Ask once more for the latest jobs, until the service does not answer.

        Args:
            most: how many jobs; None for all.

        Raises:
            LedgerError: an answer cannot be recorded.
        """
        for key, job_id in list(self._bills)[::-1][:most]:
            try:
                seconds = self._client.seconds(job_id)
            except (ServiceError, ConfigError):
                return
            if seconds is not None:
                self._ledger.usage(key, job_id, seconds)
                del self._bills[key, job_id]

    def _known(self, key: str, job_id: str) -> bool:
        """Ask, and record the answer; False if the service has none."""
        try:
            seconds = self._client.seconds(job_id)
        except (ServiceError, ConfigError):  # a key that is refused ends the next step of a job
            return False
        if seconds is None:
            return False
        self._ledger.usage(key, job_id, seconds)
        self._client.forget(job_id)
        return True


class AccountLeft:
    """QPU seconds that the account has left, asked for at most once a minute."""

    def __init__(self, client: IbmClient, clock: Callable[[], float]) -> None:
        self._client, self._clock = client, clock
        self._at, self.known = clock(), client.seconds_left()

    def seconds(self) -> float | None:
        """What is left; None if the account has no limit."""
        now = self._clock()
        if now - self._at > _ACCOUNT_SECONDS:
            with suppress(TransientError):  # the job is submitted when the service answers again
                self._at, self.known = now, self._client.seconds_left()
        return self.known

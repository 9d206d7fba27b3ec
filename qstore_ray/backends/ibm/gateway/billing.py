"""What ended jobs cost, asked for until the service knows, and what the account has left.

The service computes the usage of a job some time after its end. It is asked once when the outcomes
have been handed out, in any case before the next job is checked against the budget, and then with
pauses that grow fourfold, a few times; the next gateway asks again. So a job counts with its
forecast only for as long as nobody knows better, and nobody waits for a question about its cost.
"""

from __future__ import annotations

import threading
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
_WAIT_SECONDS: Final = 10.0
"""For how long `wait` waits for a service that does not answer."""


@dataclass
class _Bill:
    pause: float
    wake: float
    left: int = _MOST


class PendingBills:
    """Asks for the usage of ended jobs, and records it. Used by one thread, but for `wait`.

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
        self._new: set[tuple[str, str]] = set()
        """Jobs that have ended and that nobody has asked for."""
        self._asked = threading.Condition()

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
        """Ask soon for a job that has just ended; if the service does not know yet, again later."""
        self._bills[key, job_id] = _Bill(self._first_pause, self._clock(), 1 + _MOST)
        with self._asked:
            self._new.add((key, job_id))

    def settle(self) -> None:
        """Make the first question about each job that has ended.

        Raises:
            LedgerError: an answer cannot be recorded.
        """
        for name in tuple(self._new):
            self._question(*name)

    def wait(self) -> None:
        """Wait for the first question about each job that has ended. Any thread may call it."""
        with self._asked:
            self._asked.wait_for(lambda: not self._new, _WAIT_SECONDS)

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
        self._question(*min(due)[1])

    def _question(self, key: str, job_id: str) -> None:
        try:
            if self._known(key, job_id):
                del self._bills[key, job_id]
                return
        finally:
            self._no_longer_new((key, job_id))
        bill = self._bills[key, job_id]
        bill.left, bill.wake = bill.left - 1, self._clock() + bill.pause
        bill.pause *= _GROWTH
        if not bill.left:
            self._client.forget(job_id)

    def _no_longer_new(self, *names: tuple[str, str]) -> None:
        with self._asked:
            self._new.difference_update(names)
            self._asked.notify_all()

    def last(self, most: int | None = _AT_CLOSE) -> None:
        """Ask once more for the latest jobs, until the service does not answer.

        Args:
            most: how many jobs; None for all.

        Raises:
            LedgerError: an answer cannot be recorded.
        """
        try:
            for key, job_id in list(self._bills)[::-1][:most]:
                try:
                    seconds = self._client.seconds(job_id)
                except (ServiceError, ConfigError):
                    return
                if seconds is not None:
                    self._ledger.usage(key, job_id, seconds)
                    del self._bills[key, job_id]
        finally:
            self._no_longer_new(*self._new)

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

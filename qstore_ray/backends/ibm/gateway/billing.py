"""What jobs cost, as the service says: asked for when outcomes were handed out, until it is known.

The service computes the bill of a job some time after its end. Until then the job counts with its
forecast. Used by the gateway's thread alone, but for `is_settled`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from qstore_ray.errors import RefusedError, ServiceError, TransientError

if TYPE_CHECKING:
    from qstore_ray.backends.ibm.ledger.ledger import Ledger
    from qstore_ray.backends.ibm.service.client import IbmClient

_FIRST_PAUSE, _LONGEST_PAUSE = 5.0, 300.0
_ACCOUNT_SECONDS = 60.0
"""How long the answer to what the account has left is used."""
_AT_CLOSE = 20
"""So many bills are asked for when the gateway closes: a closing must not take long."""


class Billing:
    """Asks for the bills of jobs that have ended, and for what the account has left.

    Args:
        clock: seconds.
    """

    def __init__(self, client: IbmClient, ledger: Ledger, clock: Callable[[], float]) -> None:
        self._client, self._ledger, self._clock = client, ledger, clock
        self._due: dict[tuple[str, str], tuple[float, float]] = {}
        self._account = clock(), client.seconds_left()

    @property
    def is_settled(self) -> bool:
        """Whether every bill was asked for once."""
        return all(pause > _FIRST_PAUSE for _, pause in tuple(self._due.values()))

    def add(self, key: str, job_id: str) -> None:
        """Ask for the bill of a job in the next turn."""
        if job_id not in self._ledger.records[key].usage:
            self._due[key, job_id] = self._clock(), _FIRST_PAUSE

    def add_earlier(self) -> None:
        """Ask for the bills that an earlier process did not get."""
        for key, record in self._ledger.records.items():
            for job_id in record.submitted:
                if job_id != record.job_id or not record.is_open:
                    self.add(key, job_id)

    def next_time(self) -> float:
        """When something is to be asked for; infinity if nothing."""
        return min((time for time, _ in self._due.values()), default=float("inf"))

    def ask(self, *, at_close: bool = False) -> None:
        """Ask for what is due; at the close for all that is left, once, until one has no answer."""
        most = _AT_CLOSE if at_close else None
        for (key, job_id), (time, pause) in tuple(self._due.items())[:most]:
            now = self._clock()
            if time > now and not at_close:
                continue
            try:
                seconds = self._client.seconds(job_id)
            except RefusedError:  # the service does not know the job any more
                self._forget(key, job_id)
                continue
            except ServiceError:
                if at_close:
                    return
                seconds = None
            if seconds is None:
                self._due[key, job_id] = now + pause, min(2.0 * pause, _LONGEST_PAUSE)
                continue
            self._ledger.usage(key, job_id, seconds)
            self._forget(key, job_id)

    def account_seconds(self) -> float | None:
        """What the account has left, as the service said in the last minute; None for no limit."""
        now = self._clock()
        if now - self._account[0] > _ACCOUNT_SECONDS:
            with suppress(TransientError):  # the job is submitted when the service answers again
                self._account = now, self._client.seconds_left()
        return self._account[1]

    def _forget(self, key: str, job_id: str) -> None:
        del self._due[key, job_id]
        self._client.forget(job_id)

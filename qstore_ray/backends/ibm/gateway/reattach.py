"""What an earlier run left open in a ledger is taken up without the run; nothing is submitted.

    with left_jobs(folder) as left:
        left.follow()                  until each job has ended; its result is in the ledger
        left.cancel(["3f0a…"])         cancelled at the service, unless it was too late

A run that is resumed afterwards takes the results from the ledger, and pays nothing again.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from qstore_ray.backends.ibm.gateway.billing import PendingBills
from qstore_ray.backends.ibm.gateway.flight import Flight
from qstore_ray.backends.ibm.gateway.opening import config_of
from qstore_ray.backends.ibm.gateway.polling import PollPace
from qstore_ray.backends.ibm.gateway.sessions import LeftSessions
from qstore_ray.backends.ibm.ledger.ledger import Ledger
from qstore_ray.backends.ibm.ledger.record import HardwareJob, JobState
from qstore_ray.backends.ibm.ledger.replay import check_owner, replay
from qstore_ray.backends.ibm.patience import patiently
from qstore_ray.backends.ibm.policy import GatewayPolicy
from qstore_ray.backends.ibm.service.account import sign_in
from qstore_ray.backends.ibm.service.client import IbmClient
from qstore_ray.errors import LedgerError, ServiceError, UsageError


class LeftJobs:
    """The jobs of a ledger, followed without a gateway; use `left_jobs`.

    Attributes:
        too_late: tags of jobs that were to be cancelled and had ended.
        problems: tag of a job, or a session → why it is left open.
    """

    def __init__(
        self,
        client: IbmClient,
        ledger: Ledger,
        policy: GatewayPolicy,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client, self._ledger, self._policy = client, ledger, policy
        self._clock, self._sleep, self._pace = clock, sleep, PollPace(policy)
        self._bills = PendingBills(client, ledger, policy, clock)
        self._sessions = LeftSessions(client, ledger, policy, clock)
        self.too_late: set[str] = set()
        self.problems: dict[str, str] = {}

    @property
    def records(self) -> tuple[HardwareJob, ...]:
        """All jobs of the ledger."""
        return tuple(self._ledger.records.values())

    @property
    def open(self) -> tuple[HardwareJob, ...]:
        """Jobs that have not ended, and jobs with duplicates that have not."""
        return tuple(job for job in self.records if job.is_open or job.open_duplicates)

    @property
    def open_sessions(self) -> tuple[str, ...]:
        """Sessions and batches that could not be closed."""
        return self._ledger.open_sessions

    def follow(self, *, wait: bool = True) -> tuple[HardwareJob, ...]:
        """Follow the open jobs until they end, and fetch what is missing; what was followed.

        Args:
            wait: False asks once for each.

        Raises:
            ConfigError: the service refuses the key.
            LedgerError: a step cannot be recorded.
        """
        for record in self.records:
            if record.state is JobState.FINISHED:
                self._check_result(record.key)
        return self._follow([self._flight(job.key) for job in self.open], wait)

    def cancel(self, tags: Collection[str] = ()) -> tuple[HardwareJob, ...]:
        """Cancel open jobs, and record it. The result of one that has ended is fetched.

        Args:
            tags: of the jobs, or how they begin; empty for all.

        Raises:
            UsageError: no open job has this tag.
            ConfigError, LedgerError: see `follow`.
        """
        chosen = [job.key for job in self.open if not tags or job.key.startswith(tuple(tags))]
        for tag in tags:
            if not any(key.startswith(tag) for key in chosen):
                raise UsageError(
                    "no open job has this tag",
                    field="TAG",
                    value=tag,
                    fix=f"Take one of: {', '.join(job.key[:12] for job in self.open) or 'none'}.",
                )
        flights = [self._flight(key) for key in chosen]
        for flight in flights:
            flight.cancel_once_found("cancelled by hand", self._clock())
        followed = self._follow(flights, wait=True)
        self.too_late |= {flight.key for flight in flights if flight.is_too_late}
        return followed

    def _flight(self, key: str) -> Flight:
        options = json.loads(self._ledger.records[key].options)
        return Flight(
            key, self._client, self._ledger, self._policy, self._bills, None, options,
            self._clock(), self._pace,
        )  # fmt: skip

    def _follow(self, flights: Sequence[Flight], wait: bool) -> tuple[HardwareJob, ...]:
        self._close_sessions()
        left = list(flights)
        while left:
            flight = min(left, key=lambda each: each.wake)
            if (pause := flight.wake - self._clock()) > 0.0:
                self._sleep(pause)
            try:
                has_ended = flight.advance(self._clock())
            except ServiceError as exc:
                self.problems[flight.key] = exc.message
                left.remove(flight)
            else:
                if has_ended or not (wait or flight.wake <= self._clock()):
                    left.remove(flight)
        self._close_sessions()
        self._bills.take_up()
        self._bills.last(most=None)
        return tuple(flight.record for flight in flights)

    def _close_sessions(self) -> None:
        """Close them also if jobs in them still run: the service bills a session until then."""
        for session in self.open_sessions:
            self.problems.pop(session, None)
        if not self.open_sessions:
            return
        try:
            self._sessions.last()
        except ServiceError as exc:
            self.problems |= dict.fromkeys(self.open_sessions, exc.message)

    def _check_result(self, key: str) -> None:
        """Let a result whose files are damaged be fetched again."""
        try:
            self._ledger.result(key)
        except LedgerError as exc:
            self._ledger.result_lost(key, exc.message)


@contextmanager
def left_jobs(
    folder: Path, *, account: str | None = None, token_file: str | None = None, wait: bool = True
) -> Iterator[LeftJobs]:
    """The jobs of the ledger in a folder. Sign in as the gateway did, or as given.

    Args:
        account: name of a saved account.
        token_file: file with the API key.
        wait: a service that does not answer is asked again for the `patience` of the gateway.

    Raises:
        LedgerError: no ledger, a damaged one, one that a gateway has open (`locked`), or one of
            another instance than the account's.
        ConfigError: the account, its key or the device is wrong.
        ServiceError: the service is out of reach.
    """
    owner = replay(folder).owner
    if owner is None:
        raise LedgerError("the ledger has no jobs", field="ledger", value=str(folder))
    with Ledger.open(folder, owner) as ledger:
        config = config_of(folder, owner)
        given = {"account": account, "token_file": token_file}
        who = config.sign_in.model_copy(update=given if any(given.values()) else {})

        def signed_in() -> IbmClient:
            return IbmClient(sign_in(who), config.device)

        client = patiently(signed_in, config.policy, threading.Event()) if wait else signed_in()
        check_owner(owner, owner.model_copy(update={"instance": client.instance}), folder)
        yield LeftJobs(client, ledger, config.policy)

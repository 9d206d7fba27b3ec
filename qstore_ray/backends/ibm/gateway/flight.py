"""One job on its way: looked up, submitted, waited for, fetched; each step in the ledger first.

    INTENT, SUBMITTING ── look up ──► LOOKED_UP ── submit ──► ACCEPTED ── poll, fetch ──► FINISHED

A step that the service does not answer is made again after a pause, and a job that may have been
submitted is looked up before it is submitted again: for `tag_delay` seconds, because the index of
tags may lag. So a job that was accepted is found, and is not paid twice.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from qstore_ray.backends.ibm.gateway.billing import PendingBills
from qstore_ray.backends.ibm.gateway.polling import JobPolls, PollPace
from qstore_ray.backends.ibm.ledger.entries import RequestShare
from qstore_ray.backends.ibm.ledger.ledger import Ledger
from qstore_ray.backends.ibm.ledger.record import HardwareJob, JobState
from qstore_ray.backends.ibm.ledger.results import HardwareResult
from qstore_ray.backends.ibm.patience import Patience
from qstore_ray.backends.ibm.policy import GatewayPolicy
from qstore_ray.backends.ibm.service.client import IbmClient, JobStatus
from qstore_ray.backends.ibm.service.isa import Pub
from qstore_ray.errors import RefusedError, TransientError

if TYPE_CHECKING:
    from qstore_ray.types import ReadOnlyTable

_DEAD = frozenset({"failed", "cancelled"})


class Flight:
    """A job that was intended and has not ended. Used by the gateway's thread alone.

    Args:
        key: of the job in the ledger.
        bills: asks what the job costs when it has ended.
        pubs: makes what is submitted; None for a job of an earlier process, which can be found and
            fetched, but not submitted.
        options: of the sampler, or what `run_estimator` takes.
        policy: how to wait.
        pace: what earlier jobs have shown of when to ask.

    Attributes:
        wake: when `advance` is to be called next. began: when the job began.
        is_too_late: it was to be cancelled, and had ended at the service.
    """

    def __init__(
        self,
        key: str,
        client: IbmClient,
        ledger: Ledger,
        policy: GatewayPolicy,
        bills: PendingBills,
        pubs: Callable[[], Sequence[Pub]] | None,
        options: ReadOnlyTable,
        now: float,
        pace: PollPace | None = None,
    ) -> None:
        self.key, self.wake, self.began = key, now, now
        self._client, self._ledger, self._policy = client, ledger, policy
        self._bills, self._pubs, self._options = bills, pubs, options
        self._pace, self._patience = pace or PollPace(policy), Patience(policy)
        self._polls: JobPolls | None = None
        self._lost_results = 0
        self._cancel_reason, self.is_too_late = "", False
        may_be_there = self.record.state is JobState.SUBMITTING
        self._look_until = now + policy.tag_delay if may_be_there else now

    @property
    def record(self) -> HardwareJob:
        """What the ledger says."""
        return self._ledger.records[self.key]

    def advance(self, now: float) -> bool:
        """Take the next step; whether the job has ended, as the record then says.

        Raises:
            ServiceError: the service has been silent for `patience`, or refuses the job.
        """
        try:
            ended = self._step(now)
        except TransientError as exc:
            self.wake = now + self._patience.pause_after(exc, now)
            return False
        # Look-ups may be answered while no submission is.
        is_submitting = self.record.state in {JobState.SUBMITTING, JobState.LOOKED_UP}
        self._patience.answered(as_wanted=not is_submitting)
        return ended

    def _step(self, now: float) -> bool:
        state = self.record.state
        if state in {JobState.INTENT, JobState.SUBMITTING, JobState.LOOKED_UP}:
            return self._look_up(now)
        if state is JobState.ACCEPTED:
            self._cancel_duplicates()
            if self._cancel_reason and not self.is_too_late:
                self.is_too_late = not self.cancel(self._cancel_reason)
            return self._ask(now) if self.record.is_open else True
        self._cancel_duplicates()  # of a job that has ended, found later
        return True

    def _look_up(self, now: float) -> bool:
        record = self._record_found()
        if record.living:
            self._ledger.accepted(self.key, record.living[0])
            self.wake = now
        elif now < self._look_until:
            self.wake = min(now + self._patience.pause, self._look_until)
        elif self._pubs is None or self._cancel_reason:
            given_up = self._cancel_reason or "given up before it was submitted"
            self._ledger.cancelled(self.key, given_up)
            return True
        else:
            return self._submit(now)
        return False

    def _record_found(self) -> HardwareJob:
        found = self._client.find(self.key)
        alive = [job for job, status in found.items() if status.outcome not in _DEAD]
        record = self._ledger.looked_up(self.key, alive)
        for job, status in found.items():  # one whose answer was lost may have failed since
            if status.outcome in _DEAD and job not in record.submitted:
                record = self._ledger.duplicate(
                    self.key, job, "failed" if status.outcome == "failed" else "cancelled"
                )
                self._bills.ask(self.key, job)
        return record

    def _submit(self, now: float) -> bool:
        assert self._pubs is not None
        record = self.record
        pubs, shots = self._pubs(), record.shots
        try:
            self._ledger.submitting(self.key, self._client.session.open())
            job_id = self._client.submit(pubs, shots, self._options, [self.key])
        except RefusedError as exc:
            self._ledger.failed(self.key, str(exc))
            if self._client.session.renew():  # it was closed: the job is run in another one
                return True
            raise
        except TransientError as exc:
            had_no_effect = exc.status == 429 or exc.is_full
            had_no_effect = had_no_effect or self.record.state is JobState.LOOKED_UP
            self._look_until = now if had_no_effect else now + self._policy.tag_delay
            raise
        self._ledger.accepted(self.key, job_id)
        self._polls = self._pace.begin(record.executions, now)
        self.wake = self._polls.next_time(now)
        return False

    def _ask(self, now: float) -> bool:
        job_id = self.record.job_id
        status = self._client.state(job_id)
        if status.outcome == "waiting":
            self._polls = self._polls or self._pace.begin(None, now)  # somebody else submitted it
            self.wake = self._polls.waiting(now)
            return False
        if status.outcome == "done":
            if self._polls is not None:
                self._polls.done(now)
            return self._fetch(job_id, now)
        self._end(job_id, status)
        return True

    def _fetch(self, job_id: str, now: float) -> bool:
        names, shapes = layout(self.record)
        try:
            fetch = self._client.values if "estimator" in self._options else self._client.arrays
            arrays = fetch(job_id, names, shapes)
        except RefusedError as exc:
            self._lost_results += 1
            if self._lost_results < self._policy.attempts:
                self.wake = now + self._patience.pause
                return False
            self._end(job_id, JobStatus("failed", str(exc)))
            return True
        if self.record.submissions > 1:  # one without an answer may have been accepted
            self._record_found()
            self._cancel_duplicates()
        self._ledger.finished(self.key, HardwareResult(arrays, {"job_id": job_id}))
        self._bills.ask(self.key, job_id)
        return True

    def _end(self, job_id: str, status: JobStatus) -> None:
        if status.outcome == "cancelled":
            self._ledger.cancelled(self.key, status.reason or "cancelled at the service")
        else:
            self._ledger.failed(self.key, status.reason or "failed at the service")
        self._bills.ask(self.key, job_id)
        self._client.session.renew()  # it may have ended with the job

    def _cancel_duplicates(self) -> None:
        for job_id in self.record.open_duplicates:
            was_cancelled = self._client.cancel(job_id)
            self._ledger.duplicate(self.key, job_id, "cancelled" if was_cancelled else "completed")
            self._bills.ask(self.key, job_id)

    def cancel_once_found(self, reason: str, now: float) -> None:
        """Let `advance` cancel the job, as soon as it is known which one it is."""
        self._cancel_reason, self.wake = reason, min(self.wake, now)

    def cancel(self, reason: str) -> bool:
        """Cancel the job if the service has not run it; whether it has ended.

        Nothing is cancelled of which it is unknown whether the service has it.
        """
        record = self.record
        if record.is_uncertain:
            return False
        if record.state is JobState.ACCEPTED and not self._client.cancel(record.job_id):
            return False
        self._ledger.cancelled(self.key, reason)
        if record.job_id:
            self._bills.ask(self.key, record.job_id)
        return True


def layout(record: HardwareJob) -> tuple[list[str], list[tuple[int, int]]]:
    """Name and shape (N, S) of each PUB's outcomes: the requests in order, and their bases."""
    names: list[str] = []
    shapes: list[tuple[int, int]] = []
    for share in record.requests:
        for basis in range(bases_of(share, record)):
            names.append(outcome_name(share.key, basis))
            shapes.append((share.rows, record.shots))
    return names, shapes


def bases_of(share: RequestShare, record: HardwareJob) -> int:
    """How many bases a request measures: the Estimator takes several circuits for each."""
    circuits = share.executions // (share.rows * record.shots)
    return circuits // int(json.loads(record.options).get("circuits", 1))


def outcome_name(request: str, basis: int) -> str:
    """The name of one basis's outcomes among the arrays of a job."""
    return f"{request}-{basis}"

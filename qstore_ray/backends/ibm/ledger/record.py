"""What a ledger says of one job: its state, and the steps that are allowed from it.

    (new) ─ intent ─► INTENT ─ looked_up ─► LOOKED_UP ─ submitting ─► SUBMITTING
                                              │    ▲                   │  │
                                              │    └──── looked_up ────┘  │
                                              └────────► accepted ◄───────┘
    ACCEPTED ─ finished ─► FINISHED ─ result_lost ─► ACCEPTED
    INTENT, LOOKED_UP, SUBMITTING, ACCEPTED ─ failed ─► FAILED ─ intent ─► INTENT
    INTENT, LOOKED_UP, ACCEPTED ─ cancelled ─► CANCELLED ─ intent ─► INTENT

A job is submitted only after a look-up that found none with its tag. If the look-up found several,
one is accepted and the others are duplicates, which have to be cancelled. In SUBMITTING it is not
known whether the service has the job, so it cannot be given up: it has to be looked up first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final, Literal

from qstore_ray.backends.ibm.ledger.entries import (
    AcceptedEntry,
    CancelledEntry,
    DuplicateEntry,
    FailedEntry,
    FinishedEntry,
    IntentEntry,
    JobEntry,
    LookedUpEntry,
    RequestShare,
    ResultLostEntry,
    SessionClosedEntry,
    SubmittingEntry,
    UsageEntry,
)
from qstore_ray.errors import LedgerError


class JobState(StrEnum):
    """How far a job has come."""

    INTENT = "intent"
    LOOKED_UP = "looked_up"
    SUBMITTING = "submitting"
    ACCEPTED = "accepted"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"


_I, _L, _S, _A, _F = list(JobState)[:5]
_DEAD: Final = frozenset({JobState.FAILED, JobState.CANCELLED})
_STEPS: Final[Mapping[type, tuple[frozenset[JobState], JobState | None]]] = {
    IntentEntry: (_DEAD, _I),
    LookedUpEntry: (frozenset(JobState), None),
    SubmittingEntry: (frozenset({_L}), _S),
    AcceptedEntry: (frozenset({_L, _S}), _A),
    FinishedEntry: (frozenset({_A}), _F),
    ResultLostEntry: (frozenset({_F}), _A),
    FailedEntry: (frozenset({_I, _L, _S, _A}), JobState.FAILED),
    CancelledEntry: (frozenset({_I, _L, _A}), JobState.CANCELLED),
    DuplicateEntry: (frozenset(JobState), None),
    UsageEntry: (frozenset(JobState), None),
    SessionClosedEntry: (frozenset(JobState), None),
}
"""Entry → the states in which it may be written, and the state after it (None: it stays)."""


@dataclass(frozen=True)
class HardwareJob:
    """A job as the ledger knows it.

    Attributes:
        key: its tag at the service.
        state: how far its latest attempt has come.
        requests: what it evaluates, in order.
        attempts: how often it was intended: a job that failed may be tried again.
        failures: how often it failed, or was cancelled, at the service. An attempt that ended
            before it was submitted, with its process for example, is none.
        submissions: how often it was submitted, with or without an answer.
        forecast_seconds: billed seconds by the formula. price_per_second: of one, if known.
        found: jobs at the service with the tag, by all look-ups.
        job_id: of the latest attempt, once accepted. session_id: in which it was submitted.
        sessions: in which it was submitted, by all attempts. closed_sessions: that were closed.
        is_uncertain: it was submitted and nobody knows whether the service has it. A look-up that
            finds none does not change that: the service's index of tags may lag behind.
        dead: jobs of earlier attempts.
        duplicates: job → how it ended.
        usage: job → the seconds that the service bills.
        checksums: SHA-256 of the result's arrays and details, once finished.
        reason: why it failed, was cancelled, or its result was lost.
        began, changed: times of the first and the latest line.
        calibration: executions that serve all requests.
    """

    key: str
    requests: tuple[RequestShare, ...]
    shots: int
    options: str
    forecast_seconds: float
    price_per_second: float | None
    began: str
    changed: str
    calibration: int = 0
    state: JobState = JobState.INTENT
    attempts: int = 1
    failures: int = 0
    submissions: int = 0
    found: tuple[str, ...] = ()
    job_id: str = ""
    session_id: str = ""
    sessions: tuple[str, ...] = ()
    closed_sessions: tuple[str, ...] = ()
    is_uncertain: bool = False
    dead: tuple[str, ...] = ()
    duplicates: Mapping[str, Literal["cancelled", "completed", "failed"]] = field(
        default_factory=dict
    )
    usage: Mapping[str, float] = field(default_factory=dict)
    checksums: tuple[str, str] | None = None
    reason: str = ""

    @property
    def executions(self) -> int:
        """Circuits times shots of all requests, and the calibration."""
        return sum(request.executions for request in self.requests) + self.calibration

    @property
    def is_open(self) -> bool:
        """Whether a step is missing: the job has neither finished nor failed nor been cancelled."""
        return self.state not in {*_DEAD, JobState.FINISHED}

    @property
    def is_dead(self) -> bool:
        """Whether it failed or was cancelled: its requests may be put into other jobs."""
        return self.state in _DEAD

    @property
    def living(self) -> tuple[str, ...]:
        """Jobs that look-ups found and that are not known to have ended, the oldest first."""
        ended = {*self.dead, *self.duplicates}
        return tuple(found for found in self.found if found not in ended)

    @property
    def open_duplicates(self) -> tuple[str, ...]:
        """Jobs at the service that nobody waits for and that are not known to have ended."""
        if not self.job_id and not self.is_dead:
            return ()
        return tuple(found for found in self.living if found != self.job_id)

    @property
    def unbilled(self) -> tuple[str, ...]:
        """Jobs at the service that have ended and of which it is not known what they cost."""
        running = {self.job_id} if self.state is JobState.ACCEPTED else set()
        ended = {*self.dead, *self.duplicates, self.job_id} - running - {""}
        return tuple(job for job in self.submitted if job in ended and job not in self.usage)

    @property
    def submitted(self) -> tuple[str, ...]:
        """Every job at the service that this job led to, by its id there."""
        ids = (*self.dead, *([self.job_id] if self.job_id else ()), *self.found, *self.duplicates)
        return tuple(dict.fromkeys(ids))


def advance(record: HardwareJob | None, entry: JobEntry, at: str) -> HardwareJob:
    """The record after one more entry; None stands for a job without entries.

    Raises:
        LedgerError: the entry is not allowed in this state.
    """
    if record is None:
        if not isinstance(entry, IntentEntry):
            raise _step_error(entry, "no intent was recorded")
        return _intended(entry, at)
    states, after = _STEPS[type(entry)]
    if record.state not in states:
        raise _step_error(entry, f"the job is {record.state}")
    if isinstance(entry, IntentEntry):
        return _intended_again(record, entry, at)
    _check(record, entry)
    changed = _changed(record, entry)
    return replace(changed, changed=at, state=after or changed.state)


def _check(record: HardwareJob, entry: JobEntry) -> None:
    """Refuse an entry that contradicts the record."""
    ended = {*record.dead, *record.duplicates}
    because = ""
    match entry:
        case SubmittingEntry():
            living = record.living
            because = f"the service has {living[0]} for it: accept that one" if living else ""
        case AcceptedEntry(job_id=job_id):
            if job_id in ended:
                because = f"{job_id} has failed or is a duplicate"
            elif record.state is _L and job_id not in record.found:
                because = f"no look-up found {job_id}, and nothing was submitted"
        case DuplicateEntry(job_id=job_id) if job_id == record.job_id:
            because = f"{job_id} is the job itself"
        case SessionClosedEntry(session_id=session_id) if session_id not in record.sessions:
            because = f"nothing was submitted in the session {session_id}"
        case UsageEntry(job_id=job_id) if job_id not in record.submitted:
            because = f"no job {job_id} is known"
    if because:
        raise _step_error(entry, because)


def _changed(record: HardwareJob, entry: JobEntry) -> HardwareJob:
    match entry:
        case LookedUpEntry(job_ids=job_ids):
            state = JobState.LOOKED_UP if record.state in {_I, _S} else record.state
            found = tuple(dict.fromkeys((*record.found, *job_ids)))
            return replace(record, found=found, state=state)
        case SubmittingEntry(session_id=session_id):
            used = (*record.sessions, session_id) if session_id else record.sessions
            submissions = record.submissions + 1
            record = replace(record, sessions=used, submissions=submissions)
            return replace(record, session_id=session_id, is_uncertain=True)
        case AcceptedEntry(job_id=job_id):
            return replace(record, job_id=job_id, is_uncertain=False)
        case FinishedEntry():
            return replace(record, checksums=(entry.arrays_sha256, entry.details_sha256))
        case ResultLostEntry() | FailedEntry() | CancelledEntry():
            is_cancelled = isinstance(entry, CancelledEntry) and record.state is _A
            failures = record.failures + (is_cancelled or isinstance(entry, FailedEntry))
            record = replace(record, failures=failures, reason=entry.reason)
            return replace(record, checksums=None, is_uncertain=False)
        case DuplicateEntry(job_id=job_id, outcome=outcome):
            return replace(record, duplicates={**record.duplicates, job_id: outcome})
        case UsageEntry(job_id=job_id, seconds=seconds):
            return replace(record, usage={**record.usage, job_id: seconds})
        case SessionClosedEntry(session_id=session_id):
            record = replace(record, closed_sessions=(*record.closed_sessions, session_id))
    return record


def _intended_again(record: HardwareJob, entry: IntentEntry, at: str) -> HardwareJob:
    ended = (record.job_id,) if record.job_id else ()
    return replace(
        _intended(entry, at),
        began=record.began,
        attempts=record.attempts + 1,
        failures=record.failures,
        submissions=record.submissions,
        found=record.found,
        dead=(*record.dead, *ended),
        duplicates=record.duplicates,
        usage=record.usage,
        sessions=record.sessions,
        closed_sessions=record.closed_sessions,
    )


def _intended(entry: IntentEntry, at: str) -> HardwareJob:
    return HardwareJob(
        entry.key,
        entry.requests,
        entry.shots,
        entry.options,
        entry.forecast_seconds,
        entry.price_per_second,
        began=at,
        changed=at,
        calibration=entry.calibration,
    )


def _step_error(entry: JobEntry, because: str) -> LedgerError:
    return LedgerError(
        f"the ledger cannot record `{entry.event}` for a job: {because}",
        field="key",
        value=entry.key,
    )

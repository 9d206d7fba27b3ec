"""The record of paid work: each step of a job is on disk before the service is changed by the next.

    with Ledger.open(folder, LedgerOwner(run=…, instance=…, backend=…)) as ledger:
        ledger.intent(job, cost)                   about to do it
        ledger.looked_up(job.key, found)           the service has these jobs with the tag
        ledger.submitting(job.key)                 now it may cost money
        ledger.accepted(job.key, job_id)           the service has it
        ledger.finished(job.key, result)           the result is on disk
        ledger.usage(job.key, job_id, seconds)     what the service bills

A gateway that is started again opens the ledger and goes through `records`: it resumes the open
ones at the missing step (a look-up is made again), cancels `open_duplicates`, and returns results
that are on disk. A request is in a second job only if the first one failed or was cancelled.

An intent and a look-up that found nothing change nothing at the service, and neither is needed
after a loss of power. So they come to the disk with `submitting`: one wait in place of three.

The folder is on a disk of the node that the gateway is pinned to, not in the run folder, which may
be in an object store: a line must be on disk within milliseconds, and only its owner may read it.
It holds no token, and the instance only as a hash.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal, Self

from qstore_ray.backends.ibm.exported import ExportedJobs
from qstore_ray.backends.ibm.forecast import HardwareCost
from qstore_ray.backends.ibm.keys import redact_account
from qstore_ray.backends.ibm.ledger import entries
from qstore_ray.backends.ibm.ledger.entries import JobEntry, LedgerOwner, RequestShare
from qstore_ray.backends.ibm.ledger.file import LedgerFile, unusable_error, unwritable_error
from qstore_ray.backends.ibm.ledger.lock import lock_ledger
from qstore_ray.backends.ibm.ledger.record import HardwareJob, JobState, advance
from qstore_ray.backends.ibm.ledger.replay import LEDGER, LedgerContents, check_owner, replay
from qstore_ray.backends.ibm.ledger.results import (
    HardwareResult,
    complete_result,
    read_result,
    write_result,
)
from qstore_ray.backends.ibm.requests import PackedJob
from qstore_ray.errors import LedgerError
from qstore_ray.files import sweep_parts

_log = logging.getLogger(__name__)
_OWNER_ONLY: Final = 0o700


class Ledger:
    """The ledger of one gateway, opened for writing; use `Ledger.open`.

    A method that records a step returns when it is on disk (but for the two steps above), and
    raises `LedgerError` if the step is not allowed in the job's state or cannot be written. Several
    threads may use it. `notice` says what was dropped at `open`.
    """

    def __init__(self, folder: Path, owner: LedgerOwner, contents: LedgerContents) -> None:
        self.folder, self.owner, self.notice = folder, owner, contents.notice
        self._records = {key: _at_start(record) for key, record in contents.records.items()}
        self._exported = ExportedJobs(owner)
        self._job_of: dict[str, str] = {}
        self._sessions: dict[str, str] = {}
        self._closed: set[str] = set()
        for record in self._records.values():
            self._index(record)
        self._file = LedgerFile(folder / LEDGER, contents)
        self._writing = threading.RLock()
        self._at_close = ExitStack()

    @classmethod
    def open(cls, folder: Path, owner: LedgerOwner) -> Self:
        """Open the ledger in a folder, or begin one; the folder gets the mode 0700.

        A result that is complete on disk and was not recorded is recorded now.

        Raises:
            LedgerError: another process has it open (`locked`), it is damaged, of another run,
                instance or backend, or cannot be written.
            ConfigError: the folder cannot be used.
        """
        with ExitStack() as stack:
            try:
                folder.mkdir(mode=_OWNER_ONLY, parents=True, exist_ok=True)
                folder.chmod(_OWNER_ONLY)
                stack.enter_context(lock_ledger(folder))
                sweep_parts(folder)
            except (FileExistsError, FileNotFoundError, NotADirectoryError, PermissionError) as exc:
                raise unusable_error(folder, exc) from exc
            except OSError as exc:
                raise unwritable_error(folder, exc) from exc
            contents = replay(folder) if (folder / LEDGER).exists() else LedgerContents()
            if contents.owner is not None:
                check_owner(contents.owner, owner, folder)
            if contents.notice:
                _log.warning("%s", contents.notice)
            ledger = cls(folder, owner, contents)
            stack.callback(ledger._file.close)
            if contents.owner is None:
                ledger._file.append(owner, _now())
            ledger._record_results()
            ledger._at_close = stack.pop_all()
        return ledger

    @property
    def records(self) -> Mapping[str, HardwareJob]:
        """Key of a job → its record, in the order of the intents."""
        return MappingProxyType(self._records)

    def job_of(self, request: str) -> HardwareJob | None:
        """The job that a request with this key is in, unless it failed or was cancelled."""
        key = self._job_of.get(request)
        return None if key is None else self._records[key]

    def intent(
        self, job: PackedJob, cost: HardwareCost, *, price_per_second: float | None = None
    ) -> HardwareJob:
        """Record that a job is about to be looked up and submitted.

        Args:
            cost: its forecast.
            price_per_second: of a billed second, if it is known.

        Raises:
            LedgerError: one of its requests is in another job, which has not failed.
        """
        entry = entries.IntentEntry(
            key=job.key,
            requests=tuple(map(RequestShare.of, job.requests)),
            shots=job.settings.shots,
            options=job.settings.options,
            calibration=job.calibration,
            forecast_seconds=cost.billed_seconds,
            price_per_second=price_per_second,
        )
        with self._writing:
            for request in job.requests:
                self._check_free(request.key)
            return self._record(entry)

    def looked_up(self, key: str, job_ids: Iterable[str]) -> HardwareJob:
        """Record which jobs with the tag the service has that did not fail, the oldest first."""
        return self._record(entries.LookedUpEntry(key=key, job_ids=tuple(job_ids)))

    def submitting(self, key: str, session_id: str = "") -> HardwareJob:
        """Record that the next call submits the job; refused if the look-up found one."""
        return self._record(entries.SubmittingEntry(key=key, session_id=session_id))

    def accepted(self, key: str, job_id: str) -> HardwareJob:
        """Record the job at the service, newly submitted or found."""
        return self._record(entries.AcceptedEntry(key=key, job_id=job_id))

    def finished(self, key: str, result: HardwareResult) -> HardwareJob:
        """Write the result to disk and record its checksums.

        Raises:
            LedgerError: no such job waits for a result, or the folder cannot be written to.
        """
        record = self._records.get(key)
        if record is None or record.state is not JobState.ACCEPTED:
            state = "unknown" if record is None else record.state
            raise LedgerError(f"a result arrived for a job that is {state}", field="key", value=key)
        try:
            sums = write_result(self.folder, key, record.job_id, result)
        except OSError as exc:
            raise unwritable_error(self.folder, exc) from exc
        return self._finished(key, sums)

    def result(self, key: str) -> HardwareResult:
        """The result of a finished job, from disk; `LedgerError` if it is missing or damaged."""
        record = self._records.get(key)
        if record is None or record.checksums is None:
            raise LedgerError("the job has no result yet", field="key", value=key)
        return read_result(self.folder, key, record.checksums)

    def result_lost(self, key: str, reason: str) -> HardwareJob:
        """Record that the result's files cannot be used; the job is then accepted again."""
        return self._record(entries.ResultLostEntry(key=key, reason=redact_account(reason)))

    def failed(self, key: str, reason: str) -> HardwareJob:
        """Record that the service refused the job, or that it failed there."""
        return self._record(entries.FailedEntry(key=key, reason=redact_account(reason)))

    def cancelled(self, key: str, reason: str) -> HardwareJob:
        """Record that the job was cancelled, or given up; see `HardwareJob.is_uncertain`."""
        return self._record(entries.CancelledEntry(key=key, reason=redact_account(reason)))

    def duplicate(
        self, key: str, job_id: str, outcome: Literal["cancelled", "completed", "failed"]
    ) -> HardwareJob:
        """Record how a second job with the same tag has ended."""
        return self._record(entries.DuplicateEntry(key=key, job_id=job_id, outcome=outcome))

    def usage(self, key: str, job_id: str, seconds: float) -> HardwareJob:
        """Record what the service bills for a job, also for a failed one and a duplicate."""
        return self._record(entries.UsageEntry(key=key, job_id=job_id, seconds=seconds))

    @property
    def open_sessions(self) -> tuple[str, ...]:
        """Sessions and batches that jobs were submitted in and that were not closed."""
        return tuple(session for session in self._sessions if session not in self._closed)

    def session_closed(self, session_id: str) -> HardwareJob:
        """Record that a session or batch is closed."""
        entry = entries.SessionClosedEntry(key=self._sessions[session_id], session_id=session_id)
        return self._record(entry)

    def close(self) -> None:
        """Close the file and release the lock."""
        self._exported.close()
        with self._writing:
            self._at_close.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _record_results(self) -> None:
        for key, record in tuple(self._records.items()):
            if record.state is JobState.ACCEPTED:
                sums = complete_result(self.folder, key, record.job_id)
                if sums is not None:
                    self._finished(key, sums)

    def _finished(self, key: str, sums: tuple[str, str]) -> HardwareJob:
        entry = entries.FinishedEntry(key=key, arrays_sha256=sums[0], details_sha256=sums[1])
        return self._record(entry)

    def _record(self, entry: JobEntry) -> HardwareJob:
        with self._writing:
            at = _now()
            record = advance(self._records.get(entry.key), entry, at)
            self._file.append(entry, at, sync=not _changes_nothing(entry))
            self._records[entry.key] = record
            self._index(record)
        self._exported.add(entry, record)
        return record

    def _check_free(self, request: str) -> None:
        holder = self.job_of(request)
        if holder is not None:
            raise LedgerError(
                f"the request is in a job already, which is {holder.state}",
                field="key",
                value=request,
                fix=f"Use the result of the job {holder.key}.",
            )

    def _index(self, record: HardwareJob) -> None:
        self._sessions |= dict.fromkeys(record.sessions, record.key)
        self._closed.update(record.closed_sessions)
        for request in record.requests:
            if not record.is_dead:
                self._job_of[request.key] = record.key
            elif self._job_of.get(request.key) == record.key:
                del self._job_of[request.key]


def _at_start(record: HardwareJob) -> HardwareJob:
    """A look-up by an earlier process says nothing now: it has to be made again."""
    before = JobState.SUBMITTING if record.is_uncertain else JobState.INTENT
    return replace(record, state=before) if record.state is JobState.LOOKED_UP else record


def _changes_nothing(entry: JobEntry) -> bool:
    """Whether nothing is lost if power fails before the next line: the step is made again."""
    is_intent = isinstance(entry, entries.IntentEntry)
    return is_intent or (isinstance(entry, entries.LookedUpEntry) and not entry.job_ids)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")

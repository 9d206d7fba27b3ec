"""Jobs and sessions in memory; every change of them passes here and is written to the journal."""

from __future__ import annotations

import hashlib
import json
import threading
from typing import Any

from tests.ibm import billing, errors
from tests.ibm.clock import Clock
from tests.ibm.errors import RefusalError
from tests.ibm.faults import Fault, Faults
from tests.ibm.jobs import Job, new_job
from tests.ibm.journal import Journal
from tests.ibm.sessions import LONGEST, LONGEST_OPEN_BATCH, WorkSession
from tests.ibm.settings import Settings

CLOSED = "Session has been closed."


class Store:
    """The state of the service. `changed` is its lock, and wakes the lanes when a job may start."""

    def __init__(self, settings: Settings, clock: Clock, faults: Faults, journal: Journal) -> None:
        self.settings = settings
        self.clock = clock
        self.faults = faults
        self.journal = journal
        self.changed = threading.Condition(threading.RLock())
        self.jobs: dict[str, Job] = {}
        self.sessions: dict[str, WorkSession] = {}

    # jobs

    def submit(self, body: dict[str, Any]) -> Job:
        """Accept a job, or raise RefusalError."""
        if body.get("backend") not in self.settings.backend:
            raise RefusalError(404, 1007, f"Backend not found: {body.get('backend')!r}")
        count = billing.executions(body["program_id"], body["params"])
        text = json.dumps(body["params"], sort_keys=True)
        with self.changed:
            now = self.clock.now()
            session = body.get("session_id")
            if session is not None:
                self._accepting(session)
            limit = self.settings.pending_limit
            if limit is not None and sum(not job.final for job in self.jobs.values()) >= limit:
                message = f"You have reached the limit of {limit} pending jobs."
                raise RefusalError(400, errors.TOO_MANY_JOBS, message)
            name = f"job{len(self.jobs) + 1:06d}"
            job = new_job(name, body, count, now, self.settings, self.faults.for_job())
            self.jobs[job.id] = job
            self._note(
                "accepted",
                job=job.id,
                tags=job.tags,
                session=session,
                body=hashlib.sha256(text.encode()).hexdigest(),
                executions=count,
            )
            self.changed.notify_all()
        return job

    def job(self, job_id: str) -> Job:
        """The job with this id."""
        job = self.jobs.get(job_id)
        if job is None or job.deleted:
            raise RefusalError(404, 1291, f"Job not found. Job ID: {job_id}")
        return job

    def search(self, tags: list[str], session: str | None, pending: bool | None) -> list[Job]:
        """The jobs that have all of `tags`, oldest first, as far as the index knows them."""
        with self.changed:
            now = self.clock.now()
            return [
                job
                for job in self.jobs.values()
                if not job.deleted
                and set(tags) <= set(job.tags)
                and (not tags or job.visible_at <= now)
                and session in {None, job.session}
                and pending in {None, not job.final}
            ]

    def start(self, job: Job) -> None:
        """The job begins to run."""
        with self.changed:
            job.status, job.started = "Running", self.clock.now()
            if job.session is not None:
                self.sessions[job.session].start_job(job.started)
            self._note("started", job=job.id)

    def complete(self, job: Job, result: str) -> None:
        """The job has run; a job that was cancelled meanwhile stays cancelled."""
        with self.changed:
            if not job.final:
                job.result, job.seconds = result, job.estimate
                self._end(job, "Completed", "completed")

    def fail(self, job: Job, code: int, reason: str, seconds: float = 0.0) -> None:
        """The job fails; `seconds` are charged, none if the service is to blame."""
        with self.changed:
            if not job.final:
                job.reason, job.reason_code, job.seconds = reason, code, seconds
                self._end(job, "Failed", "failed", code=code, reason=reason)

    def cancel(self, job_id: str, by: str, code: int | None = None) -> None:
        """Cancel a job that has not ended; what ran of it is charged."""
        with self.changed:
            job = self.job(job_id)
            if job.final:
                raise RefusalError(409, 1296, f"Job {job_id} is in the final state {job.status}")
            if job.started is not None:
                ran = self.clock.now() - job.started
                job.seconds = min(ran, job.estimate) if self.settings.paced else job.estimate
            if code is not None:
                job.reason_code, job.reason = code, "Job ran longer than maximum execution time."
                job.seconds = job.max_seconds or 0.0
            self._end(job, "Cancelled", "cancelled", by=by)

    def result(self, job_id: str) -> str:
        """The text of the result; a private one can be read once only."""
        with self.changed:
            job = self.job(job_id)
            lost = job.fate is not None and job.fate.what == "lose_result"
            if job.reason is not None:  # the client reads the text of a failure here
                return job.reason
            if job.result is None or lost or (job.private and job.reads):
                raise RefusalError(404, 1291, f"Job result not found. Job ID: {job_id}")
            job.reads += 1
            self._note("result_read", job=job_id)
            return job.result

    def delete(self, job_id: str) -> None:
        """Remove a job from what the API shows."""
        with self.changed:
            self.job(job_id).deleted = True
            self._note("deleted", job=job_id)

    def tag(self, job_id: str, tags: list[str]) -> None:
        """Replace the tags of a job."""
        with self.changed:
            self.job(job_id).tags = tags
            self._note("tagged", job=job_id, tags=tags)

    def _end(self, job: Job, status: str, event: str, **fields: Any) -> None:
        job.status, job.finished = status, self.clock.now()
        if job.session is not None and job.started is not None:
            self.sessions[job.session].end_job(job.finished)
        self._note(event, job=job.id, seconds=round(job.seconds, 6), **fields)
        self.changed.notify_all()

    # sessions

    def open_session(self, body: dict[str, Any]) -> WorkSession:
        """Open a session or batch, or raise RefusalError."""
        mode, plan = body.get("mode", "dedicated"), self.settings.plan
        if mode == "dedicated" and plan == "open":
            message = "You are not authorized to run a session when using the open plan."
            raise RefusalError(400, errors.SESSION_NOT_IN_PLAN, message)
        longest = LONGEST_OPEN_BATCH if plan == "open" else LONGEST
        with self.changed:
            session = WorkSession(
                id=f"session{len(self.sessions) + 1:04d}",
                backend=body["backend"],
                mode=mode,
                max_ttl=min(body.get("max_ttl") or longest, longest),
                created=self.clock.now(),
            )
            self.sessions[session.id] = session
            self._note("opened", session=session.id, mode=mode)
        return session

    def session(self, session_id: str) -> WorkSession:
        """The session with this id, brought up to now."""
        with self.changed:
            if session_id not in self.sessions:
                raise RefusalError(404, 1290, f"Session not found. Session ID: {session_id}")
            session = self.sessions[session_id]
            was_open = session.closed is None
            pending = [job for job in self._jobs_in(session_id) if not job.final]
            session.refresh(self.clock.now(), len(pending))
            if was_open and session.closed is not None:
                self._note("closed", session=session_id)
                for job in pending:
                    if job.started is None:
                        self.fail(job, errors.SESSION_CLOSED, CLOSED)
            return session

    def end_session(self, session_id: str, by: str) -> None:
        """End a session now; its queued jobs are cancelled if a user ends it, and else fail."""
        with self.changed:
            session = self.session(session_id)
            if session.closed is None:
                session.close(self.clock.now())
                self._note("closed", session=session_id, by=by)
            for job in self._jobs_in(session_id):
                if job.status == "Queued" and by == "user":
                    self.cancel(job.id, by)
                elif job.status == "Queued":
                    self.fail(job, errors.SESSION_CLOSED, CLOSED)

    def _accepting(self, session_id: str) -> None:
        if not self.session(session_id).accepting:
            raise RefusalError(400, errors.SESSION_CLOSED, CLOSED)

    def _jobs_in(self, session_id: str) -> list[Job]:
        return [job for job in self.jobs.values() if job.session == session_id]

    def elapsed(self, session: WorkSession) -> float:
        """Seconds billed for a session (by the clock) or a batch (by its jobs)."""
        jobs = self._jobs_in(session.id)
        if session.mode != "dedicated":
            return sum(job.seconds for job in jobs)
        return session.wall_clock(self.clock.now()) + sum(job.unspent() for job in jobs)

    # the instance

    def consumed(self) -> float:
        """Seconds billed to the instance: jobs outside sessions, batches, and sessions."""
        with self.changed:
            sessions = [self.session(name) for name in self.sessions]
            alone = sum(job.seconds for job in self.jobs.values() if job.session is None)
            return alone + sum(self.elapsed(session) for session in sessions)

    def inject(self, fault: Fault) -> None:
        """Let a fault happen now, or wait for what it hits."""
        with self.changed:
            self._note("fault", what=fault.what, on=fault.on)
            if fault.what == "close_sessions":
                for session_id in self.sessions:
                    self.end_session(session_id, "service")
            else:
                self.faults.add(fault, self.clock.now())
            self.changed.notify_all()

    def advance(self, seconds: float) -> None:
        """Skip `seconds` of service time; what was to happen in them happens now."""
        with self.changed:
            self.clock.advance(seconds)
            self.changed.notify_all()

    def clear_faults(self) -> None:
        """Forget the faults that still wait, and end maintenance."""
        with self.changed:
            self.faults.clear()
            self.changed.notify_all()

    def _note(self, event: str, **fields: Any) -> None:
        self.journal.write(self.clock.now(), event, **fields)

"""The lanes of each backend that run queued jobs: at most five at a time, oldest first."""

from __future__ import annotations

import json
import threading
import traceback

from tests.ibm import errors, loading
from tests.ibm.jobs import Job
from tests.ibm.store import Store


class Lanes:
    """Threads that take queued jobs from a store until `stop`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._stopped = threading.Event()
        self._qpus = {backend: threading.Lock() for backend in store.settings.backend}
        for backend in store.settings.backend:
            for _ in range(store.settings.lanes):
                threading.Thread(target=self._work, args=(backend,), daemon=True).start()

    def stop(self) -> None:
        """Take no more jobs."""
        self._stopped.set()
        with self._store.changed:
            self._store.changed.notify_all()

    def _work(self, backend: str) -> None:
        store = self._store
        while not self._stopped.is_set():
            with store.changed:
                job = self._next(backend)
                if job is None:
                    store.changed.wait(self._wait())
                    continue
                store.start(job)
            self._run(job)

    def _next(self, backend: str) -> Job | None:
        """The oldest job that may start now on `backend`."""
        now, limit = self._store.clock.now(), self._store.settings.limit
        queued = [job for job in self._store.jobs.values() if job.status == "Queued"]
        for session in {job.session for job in queued if job.session}:
            self._store.session(session)  # one at its time limit fails its queued jobs
        if now < self._store.faults.paused_until:
            return None
        if queued and limit is not None and self._store.consumed() >= limit:
            return None
        for job in queued:
            if job.status == "Queued" and job.backend == backend and job.ready_at <= now:
                return job
        return None

    def _wait(self) -> float | None:
        """Real seconds until something may start without a change from outside."""
        now = self._store.clock.now()
        queued = [job for job in self._store.jobs.values() if job.status == "Queued"]
        moments = [max(job.ready_at, self._store.faults.paused_until) for job in queued]
        soonest = min((moment for moment in moments if moment > now), default=None)
        return None if soonest is None else self._store.clock.real(soonest - now)

    def _run(self, job: Job) -> None:
        store, fate = self._store, job.fate
        if fate is not None and fate.what == "fail":
            store.fail(job, fate.code, fate.message, fate.seconds)
        elif fate is not None and fate.what == "cancel":
            store.cancel(job.id, "service")
        elif job.max_seconds and job.estimate > job.max_seconds:
            store.cancel(job.id, "service", errors.RAN_TOO_LONG)
        else:
            self._execute(job)

    def _execute(self, job: Job) -> None:
        loading.wait()
        from tests.ibm.executor import UNSUPPORTED, UnsupportedCircuitError

        try:
            result = self._result(job)
        except UnsupportedCircuitError as error:
            self._store.fail(job, UNSUPPORTED, str(error))
        except Exception:  # gate: QS104 because whatever a user's program does, the lane continues
            self._store.fail(job, errors.INTERNAL, traceback.format_exc())
        else:
            self._occupy(job)
            self._store.complete(job, result)

    def _result(self, job: Job) -> str:
        from tests.ibm.executor import execute
        from tests.ibm.primitives import execute_primitive

        settings = self._store.settings
        if job.program_id == "executor":
            text = execute(job.params, job.backend, settings.execution, settings.seed)
        else:
            text = execute_primitive(job.program_id, job.params, settings.seed)
        if job.fate is not None and job.fate.what == "partial":
            result = json.loads(text)
            return json.dumps({**result, "data": result["data"][:-1]})
        return text

    def _occupy(self, job: Job) -> None:
        if self._store.settings.paced:
            with self._qpus[job.backend]:
                self._stopped.wait(self._store.clock.real(job.estimate))

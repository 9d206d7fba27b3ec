"""Work that outlives a request: a bounded pool of threads, and a record of what became of it.

Every job makes one dataset. Its state is in the catalogue, so that it survives the server: a job
that was waiting or running when the server stopped is `failed` with the error "server stopped" at
the next start, and so is its dataset.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import TypeAlias

from qstore_ray.data.service.records import JobRecord, JobStatus
from qstore_ray.data.service.server.catalogue import new_id
from qstore_ray.data.service.server.store import DatasetStore
from qstore_ray.errors import ResourceError

Work: TypeAlias = Callable[[], Mapping[str, int]]

STOPPED = "server stopped"


class JobPool:
    """Runs jobs on `threads` threads; at most `max_waiting` more may wait."""

    def __init__(self, store: DatasetStore, threads: int, max_waiting: int) -> None:
        self._store = store
        self._size = threads
        self.start()
        self._limit = threads + max_waiting
        self._unfinished = 0
        self._counting = Lock()
        for job in store.catalogue.every("job", JobRecord):
            if job.status in {"queued", "running"}:
                self._end(job, "failed", error=STOPPED)

    def submit(self, kind: str, dataset_id: str, work: Work) -> JobRecord:
        """Queue `work`, whose result are the counts to show in the record.

        Raises:
            ResourceError: as many jobs wait as may wait; the dataset is marked failed.
        """
        with self._counting:
            full = self._unfinished >= self._limit
            self._unfinished += not full
        if full:
            self._store.fail(dataset_id)
            raise ResourceError(
                "too many jobs are waiting", value=self._limit, fix="Ask again in a while."
            )
        job = JobRecord(id=new_id(), kind=kind, status="queued", dataset_id=dataset_id)
        self._put(job)
        future = self._threads.submit(self._run, job, work)
        future.add_done_callback(lambda done: self._finished(job, done))
        return job

    def get(self, id_: str) -> JobRecord:
        """The record of this id.

        Raises:
            UnknownNameError: no such record exists.
        """
        return self._store.catalogue.get("job", id_, JobRecord)

    def start(self) -> None:
        """Take jobs, also again after `stop`."""
        self._threads = ThreadPoolExecutor(self._size, thread_name_prefix="dataset-job")

    def stop(self) -> None:
        """Take no more jobs, drop those that wait; the one that runs is not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _run(self, job: JobRecord, work: Work) -> Mapping[str, int]:
        self._put(job.model_copy(update={"status": "running"}))
        return work()

    def _finished(self, job: JobRecord, done: Future[Mapping[str, int]]) -> None:
        """Called in the job's thread when it returned or raised, or when it was dropped."""
        with self._counting:
            self._unfinished -= 1
        if done.cancelled():
            self._end(job, "failed", error=STOPPED)
        elif (error := done.exception()) is not None:
            self._end(job, "failed", error=str(error) or type(error).__name__)
        else:
            self._end(job, "done", result=done.result())

    def _end(
        self, job: JobRecord, status: JobStatus, *, error: str = "", result: object = None
    ) -> None:
        if status == "failed":
            self._store.fail(job.dataset_id)
        changes = {"status": status, "error": error, "result": result or {}}
        self._put(job.model_copy(update=changes))

    def _put(self, job: JobRecord) -> None:
        self._store.catalogue.put("job", job.id, job, status=job.status)

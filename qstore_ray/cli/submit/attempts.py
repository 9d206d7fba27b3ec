"""One submission of a name: the same one again waits for it, or resumes it after a failure.

The attempts of `digits` are the jobs `digits`, `digits-2`, `digits-3`, … of the cluster.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from qstore_ray.cli.submit.head import server_errors
from qstore_ray.errors import BackendError, InterruptedRunError, UsageError

if TYPE_CHECKING:
    from ray.job_submission import JobDetails, JobStatus, JobSubmissionClient

_PAUSE: Final = 0.5
_LOOK: Final = 0.2
_MADE_OF: Final = "qstore_made_of"
"""In a job's metadata: what it was submitted with, as hex digits."""
_FAILED: Final = 1
_PATIENCE: Final = 30.0
"""Seconds for which the job server may be away while a job is followed."""


@dataclass(frozen=True)
class Submission:
    """A job of the cluster.

    Attributes:
        id: its submission id.
        submitted: it was submitted now, and not found there.
        resumes: it resumes a job that failed.
    """

    id: str
    submitted: bool
    resumes: bool


def attempt(
    client: JobSubmissionClient,
    name: str,
    entrypoint: Callable[[bool], str],
    runtime_env: dict[str, str],
    made_of: str,
) -> Submission:
    """The job of a name: the one that runs or succeeded, otherwise a new one.

    Args:
        entrypoint: what the job runs, given whether it resumes one that failed.
        made_of: digest of the job file and the command.

    Raises:
        BackendError: the job server is out of reach, or refuses the job.
        UsageError: the one that runs or succeeded was made of something else.
    """
    address = client.get_address()
    while True:
        with server_errors(address):
            there = {job.submission_id: job for job in client.list_jobs()}
        number = 1
        while (id_ := _id(name, number)) in there:
            if not _is_over_in_vain(there[id_]):
                _check_same(there[id_], made_of)
                return Submission(id_, submitted=False, resumes=number > 1)
            number += 1
        resumes = number > 1
        try:
            with server_errors(address):
                client.submit_job(
                    entrypoint=entrypoint(resumes),
                    submission_id=id_,
                    runtime_env=runtime_env,
                    metadata={_MADE_OF: made_of},
                )
        except BackendError as exc:
            if "already exists" not in str(exc.__cause__):  # another process was sooner
                raise
            continue
        return Submission(id_, submitted=True, resumes=resumes)


def follow(client: JobSubmissionClient, id_: str, write: Callable[[str], object]) -> int:
    """Write the logs of a job until it ends; its own exit code.

    A job that was stopped has 5. The logs are resumed after a connection that broke off.

    Raises:
        BackendError: the job server is out of reach for longer, does not know the job any more, or
            the job never started.
    """
    seen = 0
    address = client.get_address()

    async def tail() -> None:
        nonlocal seen
        passed = 0
        async for chunk in client.tail_job_logs(id_):
            new = chunk[max(0, seen - passed) :]
            passed += len(chunk)
            if new:
                seen = passed
                write(new)

    with _loop_beside() as loop:
        lost_at: float | None = None
        while True:
            try:
                with server_errors(address):
                    _wait_for(asyncio.run_coroutine_threadsafe(tail(), loop))
            except BackendError as exc:
                _check_token(exc)  # the logs alone may be out of reach
            try:
                with server_errors(address):
                    status, info = client.get_job_status(id_), client.get_job_info(id_)
            except BackendError as exc:
                _check_token(exc)
                _check_known(exc, id_)
                lost_at = lost_at or time.monotonic()
                if time.monotonic() - lost_at > _PATIENCE:
                    raise _lost_error(address, id_) from exc.__cause__
            else:
                lost_at = None
                if status.is_terminal():
                    return exit_code(status, info)
            time.sleep(_PAUSE)


def _check_token(exc: BackendError) -> None:
    """Raise what will be so the next time, too."""
    from ray.exceptions import AuthenticationError

    if isinstance(exc.__cause__, AuthenticationError):
        raise exc


def _check_known(exc: BackendError, id_: str) -> None:
    """Raise if the server answers, and has no such job."""
    if "does not exist" not in str(exc.__cause__):
        return
    raise BackendError(
        "the cluster does not know the job any more: its head was started again, or it was deleted",
        field="job",
        value=id_,
        fix="What it had saved is in the storage. The same command submits it again, and resumes.",
    ) from exc.__cause__


def _lost_error(address: str, id_: str) -> BackendError:
    """The error for a job server that is away for so long that nobody can say what the job does."""
    return BackendError(
        "the connection to the cluster was lost while the job ran: for "
        f"{_PATIENCE:.0f} s nothing has answered at {address}",
        field="job",
        value=id_,
        fix="The job may run on. The same command follows it again; if the cluster has ended, "
        "start it first, and the run is resumed.",
    )


@contextmanager
def _loop_beside() -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop in a thread of its own.

    In the main thread, a signal that comes just before the loop waits is seen only when it wakes,
    and a connection that is being closed may keep the interrupt to itself. So the main thread only
    waits, and is interrupted at once.
    """
    loop = asyncio.new_event_loop()
    # Errors come by the futures. What is left are complaints of a connection that was given up.
    loop.set_exception_handler(lambda *_: None)
    threading.Thread(target=loop.run_forever, name="qstore_ray-logs", daemon=True).start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(_end, loop)


def _end(loop: asyncio.AbstractEventLoop) -> None:
    """Called in the loop: its connection has a moment to close."""
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.call_later(_LOOK, loop.stop)


def _wait_for(future: Future[None]) -> None:
    """Wait for a coroutine that runs beside, and raise what it raised; Ctrl-C is seen soon."""
    while not future.done():
        wait([future], timeout=_LOOK)
    future.result()


def exit_code(status: JobStatus, info: JobDetails) -> int:
    """What the job's own program ended with.

    Raises:
        BackendError: it failed before its program ran.
    """
    if status.value == "SUCCEEDED":
        return 0
    if status.value == "STOPPED":
        return InterruptedRunError.exit_code
    if info.driver_exit_code is None:
        said = " ".join((info.message or "no reason given").split())
        raise BackendError(
            f"the job failed before it ran: {said[:500]}",
            field="job",
            value=info.submission_id,
            fix="Look at the job on Ray's dashboard.",
        )
    code: int = info.driver_exit_code
    return code if code > 0 else 128 - code or _FAILED


def _check_same(job: JobDetails, made_of: str) -> None:
    """Refuse to pass one job off as another; a job of Ray's own command says nothing about it."""
    if (job.metadata or {}).get(_MADE_OF, made_of) == made_of:
        return
    state = "has succeeded" if job.status.is_terminal() else "still runs"
    raise UsageError(
        f"the job {job.submission_id} {state}, and its job file or its command was another one",
        field="id",
        value=job.submission_id,
        fix="Give this run a name of its own with --name, or only the submission another id with "
        "--id.",
    )


def _id(name: str, number: int) -> str:
    return name if number == 1 else f"{name}-{number}"


def _is_over_in_vain(job: JobDetails) -> bool:
    return job.status.is_terminal() and job.status.value != "SUCCEEDED"

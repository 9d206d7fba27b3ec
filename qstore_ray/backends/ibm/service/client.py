"""IBM's client library behind the few calls that the gateway makes.

    submit      one job of the client-side Sampler or Estimator           1 request
    find        jobs at the service that have a tag                       1 request
    state       how far a job is                                          1 request
    arrays      the outcomes of a finished job of the Sampler             1–2 requests
    values      values and variances of one of the Estimator              1–2 requests
    seconds     what the service bills for it                             1 request

The client retries by itself: a POST that the service accepted before it answered 502 is sent
again, and leaves three paid jobs for one. `session.py` switches this off; the gateway looks a job
up before it submits it again. Every error comes out of `trouble.translated`.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from qstore_ray.backends.ibm.exported import export_queue_time
from qstore_ray.backends.ibm.keys import instance_id
from qstore_ray.backends.ibm.service.estimator import run_estimator, values_of
from qstore_ray.backends.ibm.service.isa import REGISTER, Pub
from qstore_ray.backends.ibm.service.job_session import JobSession, Mode
from qstore_ray.backends.ibm.service.trouble import translated
from qstore_ray.backends.noise.device.read import read_device
from qstore_ray.errors import ConfigError, RefusedError, TransientError

if TYPE_CHECKING:
    from qiskit_ibm_runtime import QiskitRuntimeService

    from qstore_ray.backends.noise.device.device import Device
    from qstore_ray.types import FloatArray, ReadOnlyTable

_log = logging.getLogger(__name__)
Outcome = Literal["waiting", "done", "failed", "cancelled"]
_OUTCOMES: Final[dict[str, Outcome]] = {
    "DONE": "done", "ERROR": "failed", "CANCELLED": "cancelled",
}  # fmt: skip


@dataclass(frozen=True)
class JobStatus:
    """How far a job is, and why it failed."""

    outcome: Outcome
    reason: str = ""


class IbmClient:
    """The service of one account, for one device and one mode. Used by one thread at a time.

    Args:
        service: from `account.sign_in`.
        device: name of the backend.
        mode: `job`: each job alone; `batch` and `session`: together, see IBM's execution modes.
        max_time: seconds after which a batch or session, or in job mode a job, is ended; None for
            the plan's own.

    Attributes:
        instance: hash of the instance's CRN.
        target: instructions of the device. device: its calibration.
        session: in which jobs are submitted.

    Raises:
        ConfigError: no such device, or a session on a plan that has none.
        TransientError: the service is out of reach.
    """

    def __init__(
        self,
        service: QiskitRuntimeService,
        device: str,
        *,
        mode: Mode = "job",
        max_time: int | None = None,
    ) -> None:
        self._service, self.mode = service, mode
        self._job_seconds = max_time if mode == "job" else None
        self._jobs: dict[str, Any] = {}
        from qstore_ray.backends.ibm.service.session import ask_once, make_plain

        with translated("read the calibration"):
            make_plain(service)
            crn = service.active_instance()
            self.instance, self.plan = instance_id(crn), _plan_of(service, crn)
            if mode == "session" and self.plan == "open":
                raise ConfigError(
                    "the plan of the instance has no sessions",
                    field="backend_options.mode",
                    value=mode,
                    fix='Take mode = "batch" or mode = "job".',
                )
            self._backend = _backend(service, device)
            ask_once(service, self._backend)
            _say_if_paused(self._backend)
            self.target: Any = self._backend.target
            self.device: Device = read_device(self._backend)
        self.session = JobSession(service, self._backend, mode, max_time)

    def submit(
        self, pubs: Sequence[Pub], shots: int, options: ReadOnlyTable, tags: Sequence[str]
    ) -> str:
        """Submit one job; its id.

        Args:
            options: of `SamplerOptions`, or what `run_estimator` takes; dynamical decoupling and
                twirling for example.
            tags: by which it is found again.
        """
        with translated("submit a job"):
            if "estimator" in options:
                job = run_estimator(
                    self.session.place(), self._backend, pubs, options, tags, self._job_seconds
                )
            else:
                place = self.session.place()
                job = _run_sampler(place, pubs, shots, options, tags, self._job_seconds)
            self._jobs[job.job_id()] = job
            return str(job.job_id())

    def find(self, tag: str) -> dict[str, JobStatus]:
        """Jobs at the service with this tag, the oldest first."""
        with translated("look a job up"):
            found = self._service.jobs(limit=None, job_tags=[tag], descending=False)
            self._jobs.update({job.job_id(): job for job in found})
            return {job.job_id(): self._status(job) for job in found}

    def state(self, job_id: str) -> JobStatus:
        """How far a job is."""
        with translated("ask for a job"):
            return self._status(self._job(job_id))

    def arrays(self, job_id: str, names: Sequence[str], shapes: Sequence[Sequence[int]]) -> Any:
        """The outcomes of each PUB as packed bits (N, S, bytes), by name.

        Args:
            shapes: (N, S) of each PUB.

        Raises:
            RefusedError: the result is not there, or lacks some of the PUBs.
        """
        with translated("fetch a result"):
            result = _decoded(self._job(job_id))
            found = [getattr(one.data, REGISTER).array for one in result]
        expected = [tuple(shape) for shape in shapes]
        if [array.shape[:2] for array in found] != expected:
            raise RefusedError(
                f"the result of a job has {len(found)} parts of {len(expected)}, or not all shots"
            )
        return {name: np.asarray(a, np.uint8) for name, a in zip(names, found, strict=True)}

    def values(
        self, job_id: str, names: Sequence[str], shapes: Sequence[Sequence[int]]
    ) -> dict[str, FloatArray]:
        """Values and variances (N, O, 2) of each basis by name, from the Estimator.

        Args:
            shapes: of each basis; the first number is N.

        Raises:
            RefusedError: the result is not there, or lacks some of the PUBs.
        """
        with translated("fetch a result"):
            result = _decoded(self._job(job_id))
        return values_of(result, names, [shape[0] for shape in shapes])

    def seconds(self, job_id: str) -> float | None:
        """What the service bills for a job; None while it has not computed that.

        The client's own `usage()` answers 0 then.
        """
        with translated("ask for the usage of a job"):
            metrics = self._job(job_id).metrics()
        usage = metrics.get("usage", {})
        if usage.get("status", "pending") == "pending":
            return None
        export_queue_time(self._backend.name, metrics.get("timestamps") or {})
        return float(usage["qpu_charge_time_seconds"])

    def cancel(self, job_id: str) -> bool:
        """Cancel a job; whether it was not too late."""
        try:
            with translated("cancel a job"):
                self._job(job_id).cancel()
        except RefusedError:
            return False
        return True

    def seconds_left(self) -> float | None:
        """QPU seconds that the instance has left; None if it has no limit."""
        with translated("ask for the usage of the instance"):
            left = self._service.usage().get("usage_remaining_seconds")
        return None if left is None else float(left)

    def close_session(self, session_id: str) -> None:
        """Close a batch or session that another process has opened; jobs in it still run."""
        from qstore_ray.backends.ibm.service.session import close_session

        with translated("close a session"):
            close_session(self._service, session_id)

    def close(self) -> None:
        """Close the batch or session; jobs in it still run."""
        self.session.close()

    def _job(self, job_id: str) -> Any:
        if job_id not in self._jobs:
            self._jobs[job_id] = self._service.job(job_id)
        return self._jobs[job_id]

    def _status(self, job: Any) -> JobStatus:
        state = str(job.status())
        outcome = _OUTCOMES.get(state, "waiting")
        reason = str(job.error_message() or "") if outcome == "failed" else ""
        return JobStatus(outcome, reason)

    def forget(self, job_id: str) -> None:
        """Drop what is kept about a job."""
        self._jobs.pop(job_id, None)


def _run_sampler(
    place: Any,
    pubs: Sequence[Pub],
    shots: int,
    options: ReadOnlyTable,
    tags: Sequence[str],
    seconds: int | None,
) -> Any:
    from qiskit_ibm_runtime.executor_sampler import Sampler

    sampler = Sampler(place, options=dict(options))
    if seconds is not None:
        sampler.options.max_execution_time = seconds
    sampler.options.environment.job_tags = list(tags)
    return sampler.run([(pub.circuit, pub.values, shots) for pub in pubs], shots=shots)


def _decoded(job: Any) -> Any:
    """The result of a finished job.

    Raises:
        RefusedError: the client's decoder does not take it; a part is missing, for example.
    """
    try:
        return job.result()  # gate: QS103 because the job has ended
    except (ValueError, LookupError, TypeError, AttributeError) as exc:
        raise RefusedError(f"the result of a job cannot be decoded: {exc}") from None


def _backend(service: Any, device: str) -> Any:
    """The device of that name."""
    try:
        with translated("read the calibration"):
            return service.backend(device)
    except ConfigError as exc:
        if exc.field != "backend_options.device":
            raise
    raise _no_device_error(service, device)


def _no_device_error(service: Any, device: str) -> ConfigError | TransientError:
    """The error for a device that the client has not found; it lists those that there are.

    The client takes every trouble with the list of devices for an empty one, so it is asked for
    again, and an error of this request is raised.
    """
    from qstore_ray.backends.ibm.service.session import device_names, read_configuration

    with translated("list the devices"):
        names = device_names(service)
    if device in names:
        with translated("read the configuration of the device"):
            read_configuration(service, device)
        return TransientError("IBM's service did not answer at once", field="backend")
    if not names:
        return ConfigError(
            "the instance has no device",
            field="backend_options.instance",
            fix="Take another instance, or look at this one on quantum.cloud.ibm.com.",
        )
    return ConfigError(
        "the instance has no device of this name",
        field="backend_options.device",
        value=device,
        fix=f"Take one of the instance's: {', '.join(sorted(names))}.",
    )


def _plan_of(service: Any, crn: str) -> str:
    found = [one for one in service.instances() if one["crn"] == crn]
    return "" if not found else str(found[0].get("plan", "")).lower()


def _say_if_paused(backend: Any) -> None:
    """Warn of a device that takes jobs and does not run them: nothing else says so for hours."""
    status = backend.status()
    if not status.operational or status.status_msg != "active":
        _log.warning(
            "%s runs no jobs now (%s); they wait in its queue, behind %d others, until it does",
            backend.name, status.status_msg, status.pending_jobs,
        )  # fmt: skip

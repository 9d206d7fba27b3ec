"""What a gateway exports while it runs: ended jobs, billed seconds, seconds in the queue, spans.

A job has requests of several steps, so its span is in a trace of its own.
"""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING

from qstore_ray.backends.ibm.ledger import entries
from qstore_ray.telemetry import families
from qstore_ray.telemetry.metrics import record
from qstore_ray.telemetry.spans import flush_spans, tracer

if TYPE_CHECKING:
    from qstore_ray.backends.ibm.ledger.record import HardwareJob
    from qstore_ray.types import ReadOnlyTable

_OUTCOMES = {
    entries.FinishedEntry: "finished",
    entries.FailedEntry: "failed",
    entries.CancelledEntry: "cancelled",
}


class ExportedJobs:
    """Counts ended jobs and billed seconds, and makes a span of each job.

    Args:
        owner: of the ledger.
    """

    def __init__(self, owner: entries.LedgerOwner) -> None:
        self._labels = {"run": owner.run, "device": owner.backend}
        self._began: dict[str, int] = {}

    def add(self, entry: entries.JobEntry, job: HardwareJob) -> None:
        """Export what an entry of the ledger says; `job` is the record after it."""
        if isinstance(entry, entries.IntentEntry):
            self._began[entry.key] = time.time_ns()
        elif isinstance(entry, entries.UsageEntry):
            record(families.QPU_SECONDS, entry.seconds, self._labels)
        elif (outcome := _OUTCOMES.get(type(entry))) is not None:
            record(families.HARDWARE_JOBS, 1, {**self._labels, "outcome": outcome})
            self._span(outcome, job, self._began.pop(entry.key, None))

    def close(self) -> None:
        """Send the spans that have not been sent."""
        flush_spans()

    def _span(self, outcome: str, job: HardwareJob, began: int | None) -> None:
        """The span of a job from its intent on; of an earlier process's job, its end alone."""
        found = tracer()
        if found is None:
            return
        attributes: dict[str, str | int] = {
            "qstore.run": self._labels["run"],
            "qstore.device": self._labels["device"],
            "qstore.job_id": job.job_id,
            "qstore.requests": len(job.requests),
            "qstore.executions": job.executions,
            "qstore.outcome": outcome,
        }
        found.start_span("qstore.hardware_job", start_time=began, attributes=attributes).end()


def export_queue_time(device: str, timestamps: ReadOnlyTable) -> None:
    """Observe how long a job has waited.

    Args:
        timestamps: of the service, as text; `created` and `running` are used, and a job that never
            ran has only the first.
    """
    with suppress(KeyError, TypeError, ValueError):  # the service has not said it
        began, ran = (
            datetime.fromisoformat(str(timestamps[name])) for name in ("created", "running")
        )
        record(families.QUEUE_SECONDS, max(0.0, (ran - began).total_seconds()), {"device": device})

"""What a gateway exports while it runs: jobs by outcome, billed seconds, seconds in the queue."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING

from qstore_ray.backends.ibm.ledger import entries
from qstore_ray.telemetry import families
from qstore_ray.telemetry.metrics import record

if TYPE_CHECKING:
    from qstore_ray.types import ReadOnlyTable

_OUTCOMES = {
    entries.FinishedEntry: "finished",
    entries.FailedEntry: "failed",
    entries.CancelledEntry: "cancelled",
}


def export_entry(owner: entries.LedgerOwner, entry: entries.JobEntry) -> None:
    """Count what an entry of the ledger says."""
    labels = {"run": owner.run, "device": owner.backend}
    if (outcome := _OUTCOMES.get(type(entry))) is not None:
        record(families.HARDWARE_JOBS, 1, {**labels, "outcome": outcome})
    elif isinstance(entry, entries.UsageEntry):
        record(families.QPU_SECONDS, entry.seconds, labels)


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

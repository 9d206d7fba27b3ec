"""A gateway in a few lines, and a service on disk: the steps of a ledger in their order.

The service keeps a journal of its own, which survives any kill; at the end the two are compared.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from qstore_ray.backends.ibm.forecast import QpuRates, forecast_jobs
from qstore_ray.backends.ibm.ledger.entries import LedgerOwner
from qstore_ray.backends.ibm.ledger.ledger import Ledger
from qstore_ray.backends.ibm.ledger.record import HardwareJob, JobState
from qstore_ray.backends.ibm.ledger.results import HardwareResult
from qstore_ray.backends.ibm.requests import PackedJob

OWNER = LedgerOwner(run="digits", instance="0123456789abcdef", backend="ibm_fez")
VALUES = np.array([0.5, -0.25])


class LostAnswerError(Exception):
    """The service did what was asked, and the answer did not arrive."""


class Service:
    """Jobs by tag.

    Args:
        copies: how many jobs it makes of the first submission.
        answers: whether the answer to the first submission arrives.
        point: called where the process may be killed.
    """

    def __init__(
        self, folder: Path, copies: int, answers: bool, point: Callable[[], None] = int
    ) -> None:
        self._journal, self._point = folder / "service.jsonl", point
        self._copies, self._answers = copies, answers

    def lines(self) -> list[dict[str, str]]:
        """The journal."""
        if not self._journal.exists():
            return []
        return [json.loads(line) for line in self._journal.read_text().splitlines()]

    def ids(self, event: str, tag: str = "") -> list[str]:
        """Ids of jobs with this event."""
        found = [line for line in self.lines() if line["event"] == event]
        return [line["id"] for line in found if line["tag"] == tag or not tag]

    def look_up(self, tag: str) -> list[str]:
        """Jobs with the tag that were not cancelled."""
        self._point()
        cancelled = self.ids("cancelled")
        return [found for found in self.ids("accepted", tag) if found not in cancelled]

    def submit(self, tag: str) -> str:
        """Accept a job."""
        self._point()
        number = len(self.ids("accepted"))
        for copy in range(1 if number else self._copies):
            self._write("accepted", f"job-{number + copy}", tag)
        self._point()
        if not (number or self._answers):
            raise LostAnswerError
        return f"job-{number}"

    def fetch(self, job_id: str) -> HardwareResult:
        """The result of a job."""
        self._point()
        self._write("used", job_id, "")
        return HardwareResult({"values": VALUES}, {"job_id": job_id})

    def cancel(self, job_id: str) -> None:
        """Cancel a job."""
        self._point()
        if job_id not in self.ids("cancelled"):
            self._write("cancelled", job_id, "")
        self._point()

    def _write(self, event: str, job_id: str, tag: str) -> None:
        with self._journal.open("a") as file:
            file.write(json.dumps({"event": event, "id": job_id, "tag": tag}) + "\n")


def run_job(ledger: Ledger, service: Service, job: PackedJob) -> HardwareJob:
    """Take every step that is missing for the job; it may have come to any state before."""
    record = ledger.job_of(job.requests[0].key)
    if record is None:
        record = ledger.intent(job, forecast_jobs([job], QpuRates()))
    while record.is_open:
        record = _step(ledger, service, record)
    for duplicate in record.open_duplicates:
        service.cancel(duplicate)
        record = ledger.duplicate(record.key, duplicate, "cancelled")
    return record


def _step(ledger: Ledger, service: Service, record: HardwareJob) -> HardwareJob:
    match record.state:
        case JobState.INTENT | JobState.SUBMITTING:
            return ledger.looked_up(record.key, service.look_up(record.key))
        case JobState.LOOKED_UP if record.living:
            return ledger.accepted(record.key, record.living[0])
        case JobState.LOOKED_UP:
            record = ledger.submitting(record.key)
            try:
                return ledger.accepted(record.key, service.submit(record.key))
            except LostAnswerError:
                return record
        case _:
            return ledger.finished(record.key, service.fetch(record.job_id))

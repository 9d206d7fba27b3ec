"""A job of the service, and what the API says about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.ibm import billing
from tests.ibm.clock import iso
from tests.ibm.faults import Fault
from tests.ibm.settings import Settings

FINAL = ("Completed", "Failed", "Cancelled")


@dataclass(eq=False)
class Job:
    """Moments are in service time; `seconds` is what is billed.

    Args:
        ready_at: when it may start at the earliest.
        visible_at: when a search by tags finds it.
        usage_delay: how long its usage is pending after its end.
        fate: the injected fault that hits it.
        result: the text of its result.
    """

    id: str
    backend: str
    program_id: str
    params: dict[str, Any]
    tags: list[str]
    session: str | None
    private: bool
    max_seconds: float | None
    executions: int
    estimate: float
    created: float
    ready_at: float
    visible_at: float
    usage_delay: float = 0.0
    fate: Fault | None = None
    status: str = "Queued"
    reason: str | None = None
    reason_code: int | None = None
    started: float | None = None
    finished: float | None = None
    seconds: float = 0.0
    result: str | None = None
    reads: int = 0
    deleted: bool = False

    @property
    def final(self) -> bool:
        """True if it has ended."""
        return self.status in FINAL

    def unspent(self) -> float:
        """Billed seconds that it did not run: unless paced, jobs are faster here than on a QPU."""
        if self.started is None or self.finished is None:
            return 0.0
        return max(self.seconds - (self.finished - self.started), 0.0)

    def describe(self, *, with_params: bool) -> dict[str, Any]:
        """The answer to GET /jobs/{id}."""
        state = {"status": self.status, "reason": self.reason, "reason_code": self.reason_code}
        answer = {
            "id": self.id,
            "backend": self.backend,
            "status": self.status,
            "state": {key: value for key, value in state.items() if value is not None},
            "program": {"id": self.program_id},
            "created": iso(self.created),
            "ended": iso(self.finished),
            "tags": self.tags,
            "private": self.private,
            "cost": self.max_seconds,
            "estimated_running_time_seconds": self.estimate,
            "usage": {"seconds": self.seconds},
        }
        if self.session is not None:
            answer["session_id"] = self.session
        if with_params and not self.private:
            answer["params"] = self.params
        return answer

    def metrics(self, now: float) -> dict[str, Any]:
        """The answer to GET /jobs/{id}/metrics; usage is pending for a while after its end."""
        known = self.finished is not None and now >= self.finished + self.usage_delay
        moments = {"created": self.created, "running": self.started, "finished": self.finished}
        return {
            "timestamps": {name: iso(moment) for name, moment in moments.items()},
            "usage": {
                "status": "complete" if self.final and known else "pending",
                "qpu_charge_time_seconds": self.seconds,
                "quantum_seconds": self.seconds,
                "seconds": self.seconds,
            },
            "executions": self.executions,
        }


def new_job(
    name: str,
    body: dict[str, Any],
    executions: int,
    now: float,
    settings: Settings,
    fate: Fault | None,
) -> Job:
    """A queued job of the submitted `body`."""
    return Job(
        id=name,
        backend=body["backend"],
        program_id=body["program_id"],
        params=body["params"],
        tags=list(body.get("tags", [])),
        session=body.get("session_id"),
        private=bool(body.get("private")),
        max_seconds=body.get("cost"),
        executions=executions,
        estimate=billing.seconds(executions),
        created=now,
        ready_at=now + settings.queue_delay,
        visible_at=now + settings.tag_delay,
        usage_delay=settings.usage_delay,
        fate=fate,
    )

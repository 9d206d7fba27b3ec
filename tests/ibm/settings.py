"""Settings of the stand-in; each is also an option of `python -m tests.ibm.server`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tests.ibm.faults import Fault

API_KEY = "loopback-api-key-0123456789abcdef"
CRN = "crn:v1:bluemix:public:quantum-computing:us-east:a/1f00:2f00-3f00::"
PATH = "/experimental/api/v1"
"""The word "experimental" makes the client take the URL as it stands, with its port."""

OPEN_PLAN_SECONDS = 600.0

Plan = Literal["open", "paygo", "premium"]
Execution = Literal["exact", "noisy", "package"]


@dataclass(frozen=True)
class Settings:
    """All durations are seconds of the service's clock, which runs `speed` times as fast as ours.

    Args:
        backend: names of fake backends of the client's package.
        plan: "open" refuses sessions and limits a batch to ten minutes.
        execution: "exact": no noise, in milliseconds. "noisy": by Aer with the backend's noise.
            "package": by the client package's own executor, with noise.
        seed: with a seed, equal programs get equal counts; without, each job draws anew.
        speed: 60 makes an hour of the service last a minute; `Loopback.advance` skips it.
        queue_delay: how long each job is queued at least.
        lanes: how many jobs run at a time on each backend.
        pending_limit: how many jobs may wait or run; the open plan takes three.
        paced: a job occupies the QPU for as long as it is billed.
        tag_delay: how long a new job is missing in a search by tags.
        usage_delay: how long the usage of a job is pending after its end.
        usage_limit: seconds of the instance after which no job starts; 600 in the open plan.
        token_life: validity of an access token in real seconds.
        api_key: the only accepted key.
        crn: the only instance; "" for an account that has none.
        journal: file to which every effect is appended, a JSON object a line.
        faults: injected before the first request.
    """

    backend: tuple[str, ...] = ("fake_manila",)
    plan: Plan = "paygo"
    execution: Execution = "exact"
    seed: int | None = 1
    speed: float = 1.0
    queue_delay: float = 0.0
    lanes: int = 5
    pending_limit: int | None = None
    paced: bool = False
    tag_delay: float = 0.0
    usage_delay: float = 0.0
    usage_limit: float | None = None
    token_life: float = 3600.0
    api_key: str = API_KEY
    crn: str = CRN
    journal: str | None = None
    faults: tuple[Fault, ...] = ()

    @property
    def limit(self) -> float | None:
        """The usage limit in seconds, if there is one."""
        if self.usage_limit is None and self.plan == "open":
            return OPEN_PLAN_SECONDS
        return self.usage_limit

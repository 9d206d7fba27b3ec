"""How the gateway waits: for company, for jobs, and for a service that is in trouble."""

from __future__ import annotations

from pydantic import Field

from qstore_ray.backends.ibm.queue.packing import COALESCING_DELAY
from qstore_ray.backends.ibm.requests import JobCaps
from qstore_ray.config import Config


class GatewayPolicy(Config):
    """Times are seconds.

    Args:
        caps: the limits of a job, and of jobs in flight.
        delay: for which a request without a group waits for others.
        group_wait: for which the shares of a step wait for those that are missing.
        first_poll, longest_poll: between two questions about a job; the pause grows by half. Once
            the time of a job of the same size is known, it is asked for at about its end.
        first_pause, longest_pause: before a request that had no answer is made again; it doubles.
        patience: without any answer of the service, after which the run ends; it can be resumed.
        tag_delay: for which a job that may have been accepted is looked up, before it is submitted
            again: the service's index of tags may lag behind.
        first_bill: before the usage of a job is asked for again, if the service did not know it at
            the end of the job; the pause grows fourfold.
        attempts: how often a job is run if it fails at the service.
    """

    caps: JobCaps = Field(default_factory=JobCaps)
    delay: float = Field(default=COALESCING_DELAY, ge=0.0)
    group_wait: float = Field(default=60.0, gt=0.0)
    first_poll: float = Field(default=0.5, gt=0.0)
    longest_poll: float = Field(default=15.0, gt=0.0)
    first_pause: float = Field(default=1.0, gt=0.0)
    longest_pause: float = Field(default=60.0, gt=0.0)
    patience: float = Field(default=6 * 3600.0, gt=0.0)
    tag_delay: float = Field(default=30.0, ge=0.0)
    first_bill: float = Field(default=5.0, gt=0.0)
    attempts: int = Field(default=3, gt=0)

"""Schedulers by name; each is a configuration of its own options.

none        every trial trains to its end (default)
asha        at rungs of the resource, the worse trials are ended at once
hyperband   the same in brackets that wait for their slowest trial
median      a trial below the median of the others is ended
pbt         at intervals the worst take over parameters and values of the best, changed a little
pb2         the same, the new values chosen by a Gaussian process
"""

from __future__ import annotations

from typing import Any

from qstore_ray.errors import under, unknown_name
from qstore_ray.tune.schedulers.asha import ASHA
from qstore_ray.tune.schedulers.base import Scheduler, horizon
from qstore_ray.tune.schedulers.fifo import FIFO
from qstore_ray.tune.schedulers.hyperband import HyperBand
from qstore_ray.tune.schedulers.median import Median
from qstore_ray.tune.schedulers.population import PB2, PBT

__all__ = [
    "ASHA",
    "FIFO",
    "PB2",
    "PBT",
    "SCHEDULERS",
    "HyperBand",
    "Median",
    "Scheduler",
    "get_scheduler",
    "horizon",
]

SCHEDULERS: dict[str, type[Scheduler]] = {
    "asha": ASHA,
    "hyperband": HyperBand,
    "median": Median,
    "none": FIFO,
    "pb2": PB2,
    "pbt": PBT,
}


def get_scheduler(name: str, options: dict[str, Any] | None = None) -> Scheduler:
    """The scheduler of that name with those options.

    Raises:
        UnknownNameError: no such scheduler.
        ConfigError: an option it does not have, or a wrong value.
    """
    if name not in SCHEDULERS:
        raise unknown_name("scheduler", name, SCHEDULERS, field="scheduler")
    with under("scheduler_options"):
        return SCHEDULERS[name](**(options or {}))

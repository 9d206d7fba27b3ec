"""Schedulers by name; each is a configuration of its own options.

none        every trial trains to its end (default)
asha        at rungs of the resource, the worse trials are ended at once
hyperband   the same in brackets that wait for their slowest trial
median      a trial below the median of the others is ended
pbt         at intervals the worst take over parameters and values of the best, changed a little
pb2         the same, the new values chosen by a Gaussian process

Begin with `base.py`, then `median.py`. To add one, write a class that derives from `Scheduler` and
name it in `SCHEDULERS`; another package declares it in the entry-point group
`qstore_ray.schedulers`. `ray.py` has the rules of Ray Tune that it opens, `random_state.py` their
seed.
"""

from __future__ import annotations

from qstore_ray.errors import under
from qstore_ray.registry import Registry
from qstore_ray.tune.schedulers.base import Scheduler, horizon
from qstore_ray.types import ReadOnlyTable

__all__ = ["SCHEDULERS", "Scheduler", "get_scheduler", "horizon"]

_HERE = "qstore_ray.tune.schedulers"
SCHEDULERS: Registry[type[Scheduler]] = Registry(
    "scheduler",
    {
        "asha": f"{_HERE}.asha:ASHA",
        "hyperband": f"{_HERE}.hyperband:HyperBand",
        "median": f"{_HERE}.median:Median",
        "none": f"{_HERE}.fifo:FIFO",
        "pb2": f"{_HERE}.population:PB2",
        "pbt": f"{_HERE}.population:PBT",
    },
    entry_points="qstore_ray.schedulers",
    field="scheduler",
    forms=(("check", "open", "decides"),),
    base="Scheduler",
)


def get_scheduler(name: str, options: ReadOnlyTable | None = None) -> Scheduler:
    """The scheduler of that name with those options.

    Raises:
        UnknownNameError: no such scheduler.
        ConfigError: an option it does not have, or a wrong value.
    """
    kind = SCHEDULERS[name]
    with under("scheduler_options"):
        return kind(**(options or {}))

"""Samplers by name: which point a search tries next. Each is a configuration of its own options.

    tpe     a tree of Parzen estimators over all parameters together (default)
    gp      a Gaussian process; few, expensive trials; needs torch
    cmaes   evolution of a normal distribution; numbers only; needs cmaes
    nsga2, nsga3   genetic, for two and for more objectives
    grid, random, qmc   points fixed in advance (`designs.py`)

The first five learn from the trials that have ended (`learned.py`). Under one seed and with one
trial at a time they repeat themselves; with several at a time the order in which trials end counts
too. To add one, write a class with `check` and `open(seed)`, or with `points` (`base.py`), and name
it in `SAMPLERS`; another package declares it in the entry-point group `qstore_ray.samplers`.
"""

from __future__ import annotations

from qstore_ray.config import Config
from qstore_ray.errors import ConfigError, under
from qstore_ray.registry import Registry
from qstore_ray.tune.samplers.base import Design, Learner
from qstore_ray.types import ReadOnlyTable

__all__ = ["SAMPLERS", "Design", "Learner", "get_sampler"]

_HERE = "qstore_ray.tune.samplers"
SAMPLERS: Registry[type[Config]] = Registry(
    "sampler",
    {
        "cmaes": f"{_HERE}.learned:CMAES",
        "gp": f"{_HERE}.learned:GP",
        "grid": f"{_HERE}.designs:Grid",
        "nsga2": f"{_HERE}.learned:NSGA2",
        "nsga3": f"{_HERE}.learned:NSGA3",
        "qmc": f"{_HERE}.designs:QuasiRandom",
        "random": f"{_HERE}.designs:Random",
        "tpe": f"{_HERE}.learned:TPE",
    },
    entry_points="qstore_ray.samplers",
    field="sampler",
    forms=(("check", "open"), ("points",)),
)


def get_sampler(name: str, options: ReadOnlyTable | None = None) -> Design | Learner:
    """The sampler of that name with those options.

    Raises:
        UnknownNameError: no such sampler.
        ConfigError: an option it does not have, or a wrong value.
    """
    kind = SAMPLERS[name]
    with under("sampler_options"):
        sampler = kind(**(options or {}))
    if not isinstance(sampler, Design | Learner):
        raise ConfigError("a sampler has check and open, or points", field="sampler", value=name)
    return sampler

"""Optimizers by name; each is a configuration of its own options.

Begin with `base.py`, then `adam.py`. To add one, write a `Config` with `init` and `update` (one
gradient a step) or `init` and `search` (more than that), and name it in `OPTIMIZERS`; another
package declares it in the entry-point group `qstore_ray.optimizers`.
"""

from __future__ import annotations

from qstore_ray.config import Config
from qstore_ray.errors import ConfigError, under
from qstore_ray.learn.optimizers.base import Optimizer, Problem, SearchOptimizer, Slope
from qstore_ray.registry import Registry
from qstore_ray.types import ReadOnlyTable

__all__ = ["OPTIMIZERS", "Optimizer", "Problem", "SearchOptimizer", "Slope", "get_optimizer"]

_HERE = "qstore_ray.learn.optimizers"
OPTIMIZERS: Registry[type[Config]] = Registry(
    "optimizer",
    {
        "adagrad": f"{_HERE}.adagrad:Adagrad",
        "adam": f"{_HERE}.adam:Adam",
        "adamw": f"{_HERE}.adamw:AdamW",
        "gcans": f"{_HERE}.gcans:GCANS",
        "qn_spsa": f"{_HERE}.qn_spsa:QNSPSA",
        "qng": f"{_HERE}.qng:QNG",
        "rmsprop": f"{_HERE}.rmsprop:RMSprop",
        "rotosolve": f"{_HERE}.rotosolve:Rotosolve",
        "sgd": f"{_HERE}.sgd:SGD",
        "spsa": f"{_HERE}.spsa:SPSA",
    },
    entry_points="qstore_ray.optimizers",
    field="optimizer",
    forms=(("init", "update"), ("init", "search")),
)


def get_optimizer(name: str, options: ReadOnlyTable) -> Optimizer | SearchOptimizer:
    """The optimizer of that name with those options.

    Raises:
        UnknownNameError: no such optimizer.
        ConfigError: an option it does not have, a wrong value, or what another package declares
            under this name is no optimizer.
    """
    kind = OPTIMIZERS[name]
    with under("optimizer_options"):
        optimizer = kind(**options)
    if not isinstance(optimizer, Optimizer | SearchOptimizer):
        raise ConfigError(
            "an optimizer has init and update, or init and search", field="optimizer", value=name
        )
    return optimizer

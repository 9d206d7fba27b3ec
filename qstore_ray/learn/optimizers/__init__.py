"""Optimizers by name; each is a configuration of its own options."""

from __future__ import annotations

from typing import Any

from qstore_ray.config import Config
from qstore_ray.errors import under, unknown_name
from qstore_ray.learn.optimizers.adagrad import Adagrad
from qstore_ray.learn.optimizers.adam import Adam
from qstore_ray.learn.optimizers.adamw import AdamW
from qstore_ray.learn.optimizers.base import Optimizer, Problem, SearchOptimizer, Slope
from qstore_ray.learn.optimizers.gcans import GCANS
from qstore_ray.learn.optimizers.qn_spsa import QNSPSA
from qstore_ray.learn.optimizers.qng import QNG
from qstore_ray.learn.optimizers.rmsprop import RMSprop
from qstore_ray.learn.optimizers.rotosolve import Rotosolve
from qstore_ray.learn.optimizers.sgd import SGD
from qstore_ray.learn.optimizers.spsa import SPSA

__all__ = [
    "GCANS",
    "OPTIMIZERS",
    "QNG",
    "QNSPSA",
    "SGD",
    "SPSA",
    "Adagrad",
    "Adam",
    "AdamW",
    "Optimizer",
    "Problem",
    "RMSprop",
    "Rotosolve",
    "SearchOptimizer",
    "Slope",
    "get_optimizer",
]

OPTIMIZERS: dict[str, type[Config]] = {
    "adagrad": Adagrad,
    "adam": Adam,
    "adamw": AdamW,
    "gcans": GCANS,
    "qn_spsa": QNSPSA,
    "qng": QNG,
    "rmsprop": RMSprop,
    "rotosolve": Rotosolve,
    "sgd": SGD,
    "spsa": SPSA,
}


def get_optimizer(name: str, options: dict[str, Any]) -> Optimizer | SearchOptimizer:
    """The optimizer of that name with those options.

    Raises:
        UnknownNameError: no such optimizer.
        ConfigError: an option it does not have, or a wrong value.
    """
    if name not in OPTIMIZERS:
        raise unknown_name("optimizer", name, OPTIMIZERS, field="optimizer")
    with under("optimizer_options"):
        optimizer = OPTIMIZERS[name](**options)
    assert isinstance(optimizer, Optimizer | SearchOptimizer)
    return optimizer

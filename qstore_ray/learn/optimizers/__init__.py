"""Optimizers by name; each is a configuration of its own options."""

from __future__ import annotations

from typing import Any

from qstore_ray.config import Config
from qstore_ray.errors import under, unknown_name
from qstore_ray.learn.optimizers.adam import Adam
from qstore_ray.learn.optimizers.base import Optimizer
from qstore_ray.learn.optimizers.sgd import SGD

__all__ = ["OPTIMIZERS", "SGD", "Adam", "Optimizer", "get_optimizer"]

OPTIMIZERS: dict[str, type[Config]] = {"adam": Adam, "sgd": SGD}


def get_optimizer(name: str, options: dict[str, Any]) -> Optimizer:
    """The optimizer of that name with those options.

    Raises:
        UnknownNameError: no such optimizer.
        ConfigError: an option it does not have, or a wrong value.
    """
    if name not in OPTIMIZERS:
        raise unknown_name("optimizer", name, OPTIMIZERS, field="optimizer")
    with under("optimizer_options"):
        optimizer = OPTIMIZERS[name](**options)
    assert isinstance(optimizer, Adam | SGD)
    return optimizer

"""Callbacks by name; each is a configuration of its own options.

Begin with `base.py`: the hooks. `run.py` has what a hook may ask of a run.

To add one, write a class that derives from `Config` and `Callback`, and name it in `CALLBACKS`;
another package declares it in the entry-point group `qstore_ray.callbacks`. An object that is
passed to the trainer derives from `Callback` alone.
"""

from __future__ import annotations

from typing import Any

from qstore_ray.config import Config
from qstore_ray.errors import ConfigError
from qstore_ray.registry import Registry
from qstore_ray.train.callbacks.base import Callback
from qstore_ray.train.callbacks.run import Batch, Run
from qstore_ray.types import Table

__all__ = ["CALLBACKS", "Batch", "Callback", "Run", "as_callback", "as_table", "described"]

_HERE = "qstore_ray.train.callbacks"
CALLBACKS: Registry[type[Config]] = Registry(
    "callback",
    {
        "budget": f"{_HERE}.budget:Budget",
        "convergence_monitor": f"{_HERE}.convergence:ConvergenceMonitor",
        "early_stopping": f"{_HERE}.early_stopping:EarlyStopping",
        "gradient_stats": f"{_HERE}.gradient_stats:GradientStats",
        "learning_rate_monitor": f"{_HERE}.learning_rate:LearningRateMonitor",
        "metrics_logger": f"{_HERE}.metrics_logger:MetricsLogger",
        "model_checkpoint": f"{_HERE}.model_checkpoint:ModelCheckpoint",
        "timer": f"{_HERE}.timer:Timer",
    },
    entry_points="qstore_ray.callbacks",
    field="name",
)
"""The callbacks that a configuration can name."""


def as_callback(table: Table) -> Callback:
    """The callback that `{"name": "early_stopping", "patience": 5}` describes.

    Raises:
        UnknownNameError: no such callback.
        ConfigError: an option it does not have, or a wrong value.
    """
    options = dict(table)
    name = options.pop("name", None)
    if not isinstance(name, str):
        raise ConfigError(
            "a callback is a table with a name",
            value=table,
            fix='Write for example {"name": "early_stopping", "patience": 5}.',
        )
    callback = CALLBACKS[name](**options)
    if not isinstance(callback, Callback) or not isinstance(callback, Config):
        raise ConfigError(
            "a callback that a configuration names derives from Config and from Callback",
            field="name",
            value=name,
            fix=f"Write class {type(callback).__name__}(Config, Callback), its options as fields.",
        )
    return callback


def as_table(callback: Any) -> Table:
    """The inverse of `as_callback`; a table is checked and completed with its defaults.

    Raises:
        ConfigError: not a table, and not one of the callbacks in `CALLBACKS`.
    """
    if isinstance(callback, str):
        raise ConfigError(
            "a callback is a table with a name",
            value=callback,
            fix=f'Write {{name = "{callback}"}}, and its options beside the name.',
        )
    if isinstance(callback, dict):
        callback = as_callback(callback)
    name = CALLBACKS.name_of(type(callback))
    if name is None:
        raise ConfigError(
            "a configuration holds built-in callbacks only",
            value=type(callback).__name__,
            fix="Give your own to the trainer: QuantumTrainer(…, callbacks=[…]).",
        )
    return {"name": name, **callback.to_dict()}


def described(callback: Callback) -> Table:
    """What a fingerprint needs: a built-in callback's table, or the class of another one."""
    kind = type(callback)
    if issubclass(kind, Config) and CALLBACKS.name_of(kind):
        return as_table(callback)
    return {"class": f"{kind.__module__}.{kind.__qualname__}"}

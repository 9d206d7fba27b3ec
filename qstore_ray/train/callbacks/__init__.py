"""Callbacks by name; each is a configuration of its own options."""

from __future__ import annotations

from typing import Any

from qstore_ray.config import Config
from qstore_ray.errors import ConfigError, unknown_name
from qstore_ray.train.callbacks.base import Batch, Callback, Run
from qstore_ray.train.callbacks.budget import Budget
from qstore_ray.train.callbacks.convergence import ConvergenceMonitor
from qstore_ray.train.callbacks.early_stopping import EarlyStopping
from qstore_ray.train.callbacks.gradient_stats import GradientStats
from qstore_ray.train.callbacks.learning_rate import LearningRateMonitor
from qstore_ray.train.callbacks.metrics_logger import MetricsLogger
from qstore_ray.train.callbacks.model_checkpoint import ModelCheckpoint
from qstore_ray.train.callbacks.timer import Timer

__all__ = [
    "CALLBACKS",
    "Batch",
    "Budget",
    "Callback",
    "ConvergenceMonitor",
    "EarlyStopping",
    "GradientStats",
    "LearningRateMonitor",
    "MetricsLogger",
    "ModelCheckpoint",
    "Run",
    "Timer",
    "as_callback",
    "as_table",
    "described",
]

CALLBACKS: dict[str, type[Config]] = {
    "budget": Budget,
    "convergence_monitor": ConvergenceMonitor,
    "early_stopping": EarlyStopping,
    "gradient_stats": GradientStats,
    "learning_rate_monitor": LearningRateMonitor,
    "metrics_logger": MetricsLogger,
    "model_checkpoint": ModelCheckpoint,
    "timer": Timer,
}
"""The callbacks that a configuration can name."""


def as_callback(table: dict[str, Any]) -> Callback:
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
    if name not in CALLBACKS:
        raise unknown_name("callback", name, CALLBACKS, field="name")
    callback = CALLBACKS[name](**options)
    assert isinstance(callback, Callback)
    return callback


def as_table(callback: Any) -> dict[str, Any]:
    """The inverse of `as_callback`; a table is checked and completed with its defaults.

    Raises:
        ConfigError: not a table, and not one of the callbacks in `CALLBACKS`.
    """
    if isinstance(callback, dict):
        callback = as_callback(callback)
    names = {kind: name for name, kind in CALLBACKS.items()}
    if type(callback) not in names:
        raise ConfigError(
            "a configuration holds built-in callbacks only",
            value=type(callback).__name__,
            fix="Give your own to the trainer: QuantumTrainer(…, callbacks=[…]).",
        )
    return {"name": names[type(callback)], **callback.to_dict()}


def described(callback: Callback) -> dict[str, Any]:
    """What a fingerprint needs: a built-in callback's table, or the class of another one."""
    built_in: set[type] = set(CALLBACKS.values())
    if type(callback) in built_in:
        return as_table(callback)
    kind = type(callback)
    return {"class": f"{kind.__module__}.{kind.__qualname__}"}

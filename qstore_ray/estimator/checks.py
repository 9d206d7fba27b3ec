"""The types of an estimator's parameters, checked in `fit`, as scikit-learn wants it.

What a value means is checked by the configuration that it becomes; here are those that are used
before one exists, or that Python would take for true.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np

from qstore_ray.backends import check_object
from qstore_ray.errors import ConfigError

_FLAGS = ("early_stopping", "scale_features", "warm_start")
_TABLES = (
    "backend_options", "model_options", "optimizer_options", "schedule_options", "trainer_options",
)  # fmt: skip


def check_types(estimator: Any) -> None:
    """Check parameters that no configuration checks.

    Raises:
        ConfigError: a parameter of another type than its own.
    """
    given = estimator.get_params(deep=False)
    for name in _FLAGS:
        if not isinstance(given.get(name, False), bool | np.bool_):
            raise ConfigError(
                "true or false is needed",
                field=name,
                value=given[name],
                fix="Write True or False.",
            )
    for name in _TABLES:
        if given.get(name) is not None and not isinstance(given[name], Mapping):
            raise ConfigError(
                "options are a dictionary",
                field=name,
                value=given[name],
                fix='Write for example {"name of the option": 1.0}, or None.',
            )
    callbacks = given.get("callbacks")
    if callbacks is not None and (
        isinstance(callbacks, str | Mapping) or not isinstance(callbacks, Sequence)
    ):
        raise ConfigError(
            "callbacks are a list",
            field="callbacks",
            value=callbacks,
            fix="Write for example [EarlyStopping()], or None.",
        )
    _check_numbers(given)
    if not isinstance(given["backend"], str):
        check_object(given["backend"])


def _check_numbers(given: Mapping[str, Any]) -> None:
    whole = {"n_threads": given["n_threads"]}
    if given["n_qubits"] is not None:
        whole["n_qubits"] = given["n_qubits"]
    for name, value in whole.items():
        if not isinstance(value, Integral) or isinstance(value, bool):
            raise ConfigError(
                "a whole number is needed", field=name, value=value, fix="Write for example 4."
            )
    if given["n_threads"] < 1:
        raise ConfigError("must be 1 or more", field="n_threads", value=given["n_threads"])
    for name in ("bandwidth", "C"):  # with an infinite C the machine's solver may never end
        value = given.get(name, 1.0)
        real = isinstance(value, Real) and not isinstance(value, bool)
        if not real or not math.isfinite(value) or value <= 0.0:
            raise ConfigError(
                "a finite number above 0 is needed",
                field=name,
                value=value,
                fix="Write for example 0.5.",
            )

"""Changing values of a trial while it trains.

A training reads some of its numbers again at every step: the learning rate, the limits of the
gradient, the options of its optimizer. Of those that a space searches, the ones without condition
can change, and only if no other parameter is conditional on them; the others decide what the
parameters are, and cannot.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from qstore_ray.tune.space.fields import Values
from qstore_ray.tune.space.parameters import (
    CategoricalParameter,
    FloatParameter,
    IntParameter,
    Parameter,
)
from qstore_ray.tune.space.space import Space

if TYPE_CHECKING:
    import numpy as np

_FIELDS = ("trainer.learning_rate", "trainer.clip_norm", "trainer.clip_value")
_TABLES = ("trainer.optimizer_options.",)


def mutable(space: Space) -> dict[str, Parameter]:
    """The parameters of the space that can change while a model trains, by field."""
    conditions = {other for parameter in space.parameters.values() for other in parameter.when}
    return {
        field: parameter
        for field, parameter in space.parameters.items()
        if (field in _FIELDS or field.startswith(_TABLES))
        and not parameter.when
        and field not in conditions
        and _varies(parameter)
    }


def continuous(space: Space) -> dict[str, FloatParameter]:
    """Those of them that are ranges without steps."""
    return {
        field: parameter
        for field, parameter in mutable(space).items()
        if isinstance(parameter, FloatParameter) and parameter.step is None
    }


def _varies(parameter: Parameter) -> bool:
    if isinstance(parameter, CategoricalParameter):
        numbers = all(type(choice) in (int, float) for choice in parameter.choices)
        return numbers and len(parameter.choices) > 1
    return isinstance(parameter, FloatParameter | IntParameter) and parameter.low < parameter.high


def mutated(
    values: Values,
    parameters: Mapping[str, Parameter],
    *,
    resample: float,
    factors: Sequence[float],
    rng: np.random.Generator,
) -> Values:
    """The values; those of `parameters` are resampled with probability `resample`, else scaled."""
    changed = dict(values)
    for field, parameter in parameters.items():
        factor = factors[int(rng.integers(len(factors)))]
        anew = parameter.at(float(rng.random()))
        changed[field] = (
            anew if rng.random() < resample else perturbed(parameter, values[field], factor, anew)
        )
    return changed


def perturbed(parameter: Parameter, value: Any, factor: float, otherwise: Any) -> Any:
    """factor · value, as near to it as the parameter has a value, and a step away at least.

    Args:
        parameter: of numbers.
        value: one of its own.
        factor: positive, not 1.
        otherwise: for 0 of a continuous range, which no factor changes.
    """
    if isinstance(parameter, FloatParameter) and parameter.step is None:
        product = min(max(value * factor, parameter.low), parameter.high)
        return otherwise if value == 0.0 else product
    every = _values(parameter)
    place, nearest = _nearest(every, value), _nearest(every, value * factor)
    if nearest == place:
        up = value * factor > value if value else factor > 1.0
        nearest = min(max(place + (1 if up else -1), 0), len(every) - 1)
    return every[nearest]


def _values(parameter: Parameter) -> Sequence[Any]:
    """All values of a parameter that has steps or choices, ascending."""
    if isinstance(parameter, IntParameter):
        return range(parameter.low, parameter.high + 1, parameter.step)
    return sorted(parameter.grid())


def _nearest(ascending: Sequence[Any], value: float) -> int:
    """The index of the number that is nearest to a value."""
    above = min(bisect.bisect_left(ascending, value), len(ascending) - 1)
    below = max(above - 1, 0)
    return below if value - ascending[below] < ascending[above] - value else above


def share(parameter: FloatParameter, value: float) -> float:
    """Where a value lies in its range: the u of which `parameter.at(u)` is the value."""
    low, high = parameter.low, parameter.high
    if parameter.log:
        return math.log(value / low) / math.log(high / low)
    return (value - low) / (high - low)

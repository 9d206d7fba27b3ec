"""Parameters by type; each is a configuration of its own fields."""

from __future__ import annotations

from qstore_ray.tune.space.parameters.base import Parameter
from qstore_ray.tune.space.parameters.categorical import CategoricalParameter
from qstore_ray.tune.space.parameters.fixed import FixedParameter
from qstore_ray.tune.space.parameters.float import FloatParameter
from qstore_ray.tune.space.parameters.int import IntParameter

__all__ = [
    "PARAMETERS",
    "CategoricalParameter",
    "FixedParameter",
    "FloatParameter",
    "IntParameter",
    "Parameter",
]

PARAMETERS: dict[str, type[Parameter]] = {
    "categorical": CategoricalParameter,
    "fixed": FixedParameter,
    "float": FloatParameter,
    "int": IntParameter,
}

"""Parameters by type; each is a configuration of its own fields."""

from __future__ import annotations

from qstore_ray.tune.parameters.base import Parameter
from qstore_ray.tune.parameters.categorical import CategoricalParameter
from qstore_ray.tune.parameters.fixed import FixedParameter
from qstore_ray.tune.parameters.float import FloatParameter
from qstore_ray.tune.parameters.int import IntParameter

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

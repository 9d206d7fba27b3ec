"""Gradient methods by name."""

from __future__ import annotations

from qstore_ray.backends.base import Backend, can_differentiate
from qstore_ray.errors import unknown_name
from qstore_ray.learn.gradients.adjoint import Adjoint
from qstore_ray.learn.gradients.base import GradientMethod, Plan, linearize
from qstore_ray.learn.gradients.parameter_shift import ParameterShift

__all__ = [
    "GRADIENTS",
    "Adjoint",
    "GradientMethod",
    "ParameterShift",
    "Plan",
    "get_gradient",
    "linearize",
]

GRADIENTS: dict[str, GradientMethod] = {
    method.name: method for method in (Adjoint(), ParameterShift())
}


def get_gradient(name: str, backend: Backend) -> GradientMethod:
    """The method of that name; `auto` is adjoint where the backend can, else parameter shift.

    Raises:
        UnknownNameError: no such method.
    """
    if name == "auto":
        exact = can_differentiate(backend)
        return GRADIENTS["adjoint" if exact else "parameter_shift"]
    if name not in GRADIENTS:
        raise unknown_name("gradient", name, ("auto", *GRADIENTS), field="gradient")
    return GRADIENTS[name]

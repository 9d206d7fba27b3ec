"""Gradient methods by name.

    base              what a method is: a plan of circuits to evaluate, or exact
    adjoint           the backend's own `vjp`
    parameter_shift   from shifted circuits; all gates, or one that is drawn

Begin with `base.py`. To add one, write a class with `plan` and name it in `GRADIENTS`; another
package declares it in the entry-point group `qstore_ray.gradients`.
"""

from __future__ import annotations

from collections.abc import Callable

from qstore_ray.backends.base import Backend, can_differentiate
from qstore_ray.errors import unknown_name_error
from qstore_ray.learn.gradients.base import (
    GradientMethod,
    GradientPlan,
    draws_its_plan,
    linearize,
    no_gradient_error,
)
from qstore_ray.registry import Registry

__all__ = [
    "GRADIENTS",
    "GradientMethod",
    "GradientPlan",
    "draws_its_plan",
    "get_gradient",
    "linearize",
]

_HERE = "qstore_ray.learn.gradients"
GRADIENTS: Registry[Callable[[], GradientMethod]] = Registry(
    "gradient",
    {
        "adjoint": f"{_HERE}.adjoint:Adjoint",
        "parameter_shift": f"{_HERE}.parameter_shift:ParameterShift",
        "random_coordinate_shift": f"{_HERE}.parameter_shift:RandomCoordinateShift",
    },
    entry_points="qstore_ray.gradients",
    field="gradient",
    forms=(("plan",), ("exact",)),
)


def get_gradient(name: str, backend: Backend) -> GradientMethod:
    """The method of that name; `auto` is adjoint if the backend can, else parameter shift.

    Raises:
        UnknownNameError: no such method.
        BackendError: an exact method, and the backend cannot differentiate.
    """
    if name == "auto":
        name = "adjoint" if can_differentiate(backend) else "parameter_shift"
    elif name not in GRADIENTS:
        raise unknown_name_error("gradient", name, ("auto", *GRADIENTS), field="gradient")
    method = GRADIENTS[name]()
    if hasattr(method, "exact") and not can_differentiate(backend):
        raise no_gradient_error(backend, name)
    return method

"""Gradient methods by name.

    base              what a method is: a plan of circuits to evaluate, or exact
    adjoint           the backend's own `vjp`
    parameter_shift   from shifted circuits; all gates, or one that is drawn
    spsa              along random directions; what hardware is trained with

Begin with `base.py`. To add one, write a class with `plan` and name it in `GRADIENTS`; another
package declares it in the entry-point group `qstore_ray.gradients`.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature

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
from qstore_ray.types import ReadOnlyTable

__all__ = [
    "GRADIENTS",
    "GradientMethod",
    "GradientPlan",
    "draws_its_plan",
    "get_gradient",
    "linearize",
    "make_gradient",
]

_HERE = "qstore_ray.learn.gradients"
_NO_OPTIONS = frozenset({"name", "draws", "exact"})  # what a method says of itself
GRADIENTS: Registry[Callable[..., GradientMethod]] = Registry(
    "gradient",
    {
        "adjoint": f"{_HERE}.adjoint:Adjoint",
        "parameter_shift": f"{_HERE}.parameter_shift:ParameterShift",
        "random_coordinate_shift": f"{_HERE}.parameter_shift:RandomCoordinateShift",
        "spsa": f"{_HERE}.spsa:SpsaGradient",
    },
    entry_points="qstore_ray.gradients",
    field="gradient",
    forms=(("plan",), ("exact",)),
)


def get_gradient(
    name: str, backend: Backend, options: ReadOnlyTable | None = None
) -> GradientMethod:
    """The method of that name, with its options.

    `auto` is adjoint if the backend can, else the backend's `default_gradient` if it has one, else
    parameter shift.

    Raises:
        UnknownNameError: no such method, or an option that it does not have.
        ConfigError: an exact method, and the backend cannot differentiate.

    Examples:
        exact = open_backend("statevector", {})
        assert get_gradient("auto", exact).name == "adjoint"
        assert get_gradient("spsa", exact, {"directions": 2}).directions == 2
    """
    if name == "auto":
        other = getattr(backend, "default_gradient", "parameter_shift")
        name = "adjoint" if can_differentiate(backend) else other
    method = make_gradient(name, options or {})
    if hasattr(method, "exact") and not can_differentiate(backend):
        raise no_gradient_error(backend, name)
    return method


def make_gradient(name: str, options: ReadOnlyTable) -> GradientMethod:
    """The method of that name, for any backend.

    Raises:
        UnknownNameError: no such method, or an option that it does not have.
    """
    if name not in GRADIENTS:
        raise unknown_name_error("gradient", name, ("auto", *GRADIENTS), field="gradient")
    known = [each for each in signature(GRADIENTS[name]).parameters if each not in _NO_OPTIONS]
    for option in options:
        if option not in known:
            raise unknown_name_error("option", option, known, field="gradient_options")
    return GRADIENTS[name](**options)

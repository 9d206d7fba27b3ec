"""Gradient methods: how derivatives of expectation values are obtained from a backend.

A method is one of three kinds.

- *Planned*: it says which bindings to evaluate and how to combine the values, and runs nothing
  itself. So an estimate of the work counts the very plan that would run, and one call of the
  backend carries all of it.
- *Drawn*: a planned method that draws what it plans from a key; the mean of its gradients is the
  gradient.
- *Exact*: it asks the backend's own reverse-mode differentiation (`vjp`).

`linearize` hides the difference: it returns the values and a pullback from a cotangent (N, O) to
the gradients of each row. Gradients are always those of expectation values; the loss is chained by
the caller.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard, cast, runtime_checkable

from qstore_ray.backends.base import (
    Backend,
    Bindings,
    Estimates,
    Pullback,
    can_differentiate,
    can_sum_blocks,
    takes_no_shots,
)
from qstore_ray.backends.blocks import summed
from qstore_ray.backends.keys import DrawKey
from qstore_ray.circuits.observable import Observable
from qstore_ray.circuits.template import Template
from qstore_ray.errors import ConfigError

if TYPE_CHECKING:
    from qstore_ray.types import FloatArray


@dataclass(frozen=True)
class GradientPlan:
    """What a planned method wants evaluated.

    Attributes:
        template: the circuit to evaluate, not necessarily the one to differentiate.
        bindings: M rows of values, M ≥ N.
        combine: values (M, O) to the values (N, O) of the original rows and their pullback.
    """

    template: Template
    bindings: Bindings
    combine: Callable[[FloatArray], tuple[FloatArray, Pullback]]


class PlannedMethod(Protocol):
    """A method that plans evaluations."""

    @property
    def name(self) -> str:
        """How it is asked for."""
        ...

    def plan(self, template: Template, bindings: Bindings, *, rows_gradient: bool) -> GradientPlan:
        """The evaluations that give the gradient of N rows; runs nothing.

        Args:
            rows_gradient: also differentiate the row angles.
        """
        ...


class DrawnMethod(Protocol):
    """A method that draws what it plans: it has a `plan` that takes a key, and says so."""

    @property
    def name(self) -> str:
        """How it is asked for."""
        ...

    @property
    def draws(self) -> bool:
        """Always true."""
        ...

    def plan(
        self, template: Template, bindings: Bindings, *, rows_gradient: bool, key: DrawKey | None
    ) -> GradientPlan:
        """The evaluations that give an estimate of the gradient of N rows; runs nothing.

        Args:
            rows_gradient: also differentiate the row angles.
            key: names the draws. Its words alone count, so all parts of a batch have the same.
        """
        ...


@runtime_checkable
class DrawsItsSize(Protocol):
    """A drawn method whose draw may decide how many evaluations it plans."""

    def size_varies(self, template: Template, *, rows: bool) -> bool:
        """Whether the plans of two steps may differ in their number of evaluations.

        Args:
            rows: also differentiate the row angles.
        """
        ...


class ExactMethod(Protocol):
    """A method that is the backend's own `vjp`; it has a name and nothing to plan."""

    @property
    def name(self) -> str:
        """How it is asked for."""
        ...

    @property
    def exact(self) -> bool:
        """Always true."""
        ...


GradientMethod = PlannedMethod | DrawnMethod | ExactMethod


def draws_its_plan(method: GradientMethod) -> TypeGuard[DrawnMethod]:
    """Whether the method needs a key on any backend."""
    return bool(getattr(method, "draws", False))


def linearize(
    method: GradientMethod,
    backend: Backend,
    template: Template,
    observables: Sequence[Observable],
    bindings: Bindings,
    *,
    rows_gradient: bool = False,
    key: DrawKey | None = None,
    block: int | None = None,
) -> tuple[Estimates, Pullback]:
    """Values (N, O) of the rows, and the pullback from cotangents (N, O) to their gradients.

    Args:
        key: names the random draws of a backend or a method that has any. All copies of a row in a
            plan have the same random errors, and shots of their own.
        block: the gradients of the parameters are asked for as sums over so many rows.

    Raises:
        ConfigError: an exact method on a backend that cannot differentiate.
    """
    if not hasattr(method, "exact"):
        if draws_its_plan(method):
            plan = method.plan(template, bindings, rows_gradient=rows_gradient, key=key)
            key = key if getattr(backend, "draws", False) else None
        else:
            planned = cast("PlannedMethod", method)
            plan = planned.plan(template, bindings, rows_gradient=rows_gradient)
        if key is not None:
            key = key._replace(n_rows=len(bindings))
        estimates = backend.evaluate(plan.template, observables, plan.bindings, **_drawn(key))
        values, pullback = plan.combine(estimates.values)
        return Estimates(values, usage=estimates.usage), _by_block(pullback, block)
    if not can_differentiate(backend):
        raise no_gradient_error(backend, method.name)
    options = _drawn(key)
    if block is not None and can_sum_blocks(backend):
        options["block"], block = block, None
    estimates, pullback = backend.vjp(
        template, observables, bindings, rows_gradient=rows_gradient, **options
    )
    return estimates, _by_block(pullback, block)


def _by_block(pullback: Pullback, block: int | None) -> Pullback:
    if block is None:
        return pullback
    return lambda cotangent: summed(pullback(cotangent), block)


def no_gradient_error(backend: Backend, method: str) -> ConfigError:
    """The error of an exact method on a backend that cannot differentiate."""
    return ConfigError(
        f"the backend {backend.name!r} has no exact gradient"
        + ("" if takes_no_shots(backend) else " if it takes shots"),
        field="trainer.gradient",
        value=method,
        fix="Take gradient = 'parameter_shift'.",
    )


def _drawn(key: DrawKey | None) -> dict[str, Any]:
    """The argument of a backend that draws; another one need not know it."""
    return {} if key is None else {"key": key}

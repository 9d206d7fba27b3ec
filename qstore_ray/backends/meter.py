"""A meter: a backend that counts what the backend inside it was asked to do.

`metered(backend)` answers exactly as `backend` does, with all of its capabilities, and adds up the
circuits and shots. Budgets are kept by these numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from qstore_ray.backends.base import (
    Backend,
    Bindings,
    DifferentiableBackend,
    Estimates,
    Pullback,
    Usage,
    can_differentiate,
)
from qstore_ray.backends.counts import Counts
from qstore_ray.circuits.observable import Observable
from qstore_ray.circuits.template import Template

if TYPE_CHECKING:
    from qstore_ray.types import ComplexArray


T = TypeVar("T")


class Meter:
    """A backend that counts; see `metered`.

    Attributes:
        usage: circuits and shots since the last `take`.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.usage = Usage(0, 0)

    def __getattr__(self, name: str) -> Any:
        # What else the backend can do, under its own name.
        if name == "states" and hasattr(self._backend, "states"):
            return self._counted_states
        if name == "counts" and hasattr(self._backend, "counts"):
            return self._counted_counts
        if name == "together" and hasattr(self._backend, "together"):
            return self._together
        if name.startswith("_"):
            raise AttributeError(name)  # asked for by pickle and copy, before there is a backend
        return getattr(self._backend, name)

    def evaluate(
        self,
        template: Template,
        observables: Sequence[Observable],
        bindings: Bindings,
        **options: Any,
    ) -> Estimates:
        """See `Backend.evaluate`."""
        estimates = self._backend.evaluate(template, observables, bindings, **options)
        self._add(estimates.usage)
        return estimates

    def _counted_states(self, template: Template, bindings: Bindings) -> ComplexArray:
        states: ComplexArray = self._backend.states(template, bindings)  # type: ignore[attr-defined]
        self._add(Usage(len(bindings)))
        return states

    def _counted_counts(self, *arguments: Any, **options: Any) -> Counts:
        found: Counts = self._backend.counts(*arguments, **options)  # type: ignore[attr-defined]
        self._add(found.usage)
        return found

    def _together(self, work: Callable[[], T]) -> T:
        before = self.usage

        def again() -> T:  # only the last time counts
            self.usage = before
            return work()

        found: T = self._backend.together(again)  # type: ignore[attr-defined]
        return found

    def take(self) -> Usage:
        """What was used since the last call."""
        used, self.usage = self.usage, Usage(0, 0)
        return used

    def _add(self, used: Usage) -> None:
        self.usage = Usage(self.usage.circuits + used.circuits, self.usage.shots + used.shots)


class DifferentiableMeter(Meter):
    """A meter around a backend with exact gradients."""

    _backend: DifferentiableBackend

    def vjp(
        self,
        template: Template,
        observables: Sequence[Observable],
        bindings: Bindings,
        *,
        rows_gradient: bool = False,
        **options: Any,
    ) -> tuple[Estimates, Pullback]:
        """See `DifferentiableBackend.vjp`; a circuit and its exact gradient count as one."""
        estimates, pullback = self._backend.vjp(
            template, observables, bindings, rows_gradient=rows_gradient, **options
        )
        self._add(estimates.usage)
        return estimates, pullback


def metered(backend: Backend) -> Meter:
    """The backend with a meter around it."""
    return DifferentiableMeter(backend) if can_differentiate(backend) else Meter(backend)

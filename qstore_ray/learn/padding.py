"""Rows that pad a batch to whole blocks never reach a backend: they cost no circuits and no shots.

Head, loss and sums work on blocks of 16 rows (`learn/step.py`), so a batch is padded. The wrapper
`without_padding` runs only the real rows, and gives the padded ones the values of the first row.
Random draws are keyed by row, so they are those of the real rows with or without padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from qstore_ray.backends.base import (
    Backend,
    Bindings,
    DifferentiableBackend,
    Estimates,
    Gradients,
    Pullback,
    can_differentiate,
)
from qstore_ray.circuits.observable import Observable
from qstore_ray.circuits.template import Template

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, FloatArray


class UnpaddedBackend:
    """Runs the first `n_rows` of every `n_padded` rows; see `without_padding`."""

    def __init__(self, backend: Backend, n_rows: int, n_padded: int) -> None:
        self._backend, self._n_rows, self._n_padded = backend, n_rows, n_padded

    def __getattr__(self, name: str) -> Any:
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
        """See `Backend.evaluate`: values of all rows, usage of the real ones."""
        real = self._real(len(bindings))
        found = self._backend.evaluate(
            template, observables, bindings.part(real), **self._unpadded(options)
        )
        return self._padded(found, len(bindings))

    def _real(self, n: int) -> slice | AnyArray:
        """Which of n rows are real: there may be several copies of the padded batch."""
        if n == self._n_padded:
            return slice(self._n_rows)
        real: AnyArray = np.arange(n) % self._n_padded < self._n_rows
        return real

    def _unpadded(self, options: dict[str, Any]) -> dict[str, Any]:
        key = options.get("key")
        if key is None or key.n_rows is None:
            return options
        return {**options, "key": key._replace(n_rows=self._n_rows)}

    def _padded(self, found: Estimates, n: int) -> Estimates:
        """Estimates of n rows."""
        place = np.zeros(n, np.int64)
        if n == self._n_padded:
            place[: self._n_rows] = np.arange(self._n_rows)
        else:
            copy, row = np.divmod(np.arange(n), self._n_padded)
            place = copy * self._n_rows + np.where(row < self._n_rows, row, 0)
        variances, shared = found.variances, found.shared_errors
        return Estimates(
            found.values.take(place, axis=0),
            None if variances is None else variances[place],
            found.usage,
            None if shared is None else shared[place],
        )


class DifferentiableUnpaddedBackend(UnpaddedBackend):
    """The same around a backend with exact gradients."""

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
        """See `DifferentiableBackend.vjp`: the gradients of padded rows are zeros."""
        n = len(bindings)
        real = self._real(n)
        found, pullback = self._backend.vjp(
            template, observables, bindings.part(real), rows_gradient=rows_gradient,
            **self._unpadded(options),
        )  # fmt: skip

        def padded(cotangent: FloatArray) -> Gradients:
            rows, params, amplitudes = pullback(cotangent[real])
            return Gradients(
                _with_zeros(rows, real, n),
                params if options.get("block") else _with_zeros(params, real, n),
                None if amplitudes is None else _with_zeros(amplitudes, real, n),
            )

        return self._padded(found, n), padded


def without_padding(backend: Backend, n_rows: int, n_padded: int) -> Backend:
    """The backend for batches of `n_padded` rows (or copies of them), of which `n_rows` are real.

    A padded row has the values of the first row and the gradient zero, and is not run.
    """
    if n_rows == n_padded:
        return backend
    if can_differentiate(backend):
        return DifferentiableUnpaddedBackend(backend, n_rows, n_padded)
    return UnpaddedBackend(backend, n_rows, n_padded)


def _with_zeros(found: AnyArray, real: slice | AnyArray, n: int) -> AnyArray:
    """Rows of the real ones (R, …) among zeros (n, …)."""
    result: AnyArray = np.zeros((n, *found.shape[1:]), found.dtype)
    result[real] = found
    return result

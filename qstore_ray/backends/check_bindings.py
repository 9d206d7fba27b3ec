"""What every backend checks first, so that a wrong width has the same error everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from qstore_ray.backends.base import Bindings
from qstore_ray.circuits.circuit import all_finite
from qstore_ray.circuits.observable import Observable
from qstore_ray.circuits.template import Template
from qstore_ray.errors import CircuitError

_NORM_TOLERANCE = 2e-5  # of a squared norm


def check_bindings(
    template: Template, observables: Sequence[Observable], bindings: Bindings
) -> None:
    """Raise `CircuitError` where bindings or observables do not fit the template.

    Every backend calls this first, so that a wrong width reads the same everywhere.
    """
    n_rows = len(bindings.rows)
    if bindings.rows.ndim != 2 or bindings.rows.shape[1] != template.n_rows:
        raise CircuitError(
            f"row angles must have shape (N, {template.n_rows})",
            field="rows",
            value=bindings.rows.shape,
        )
    if bindings.params.shape not in {(template.n_params,), (n_rows, template.n_params)}:
        raise CircuitError(
            f"parameters must have shape ({template.n_params},) or ({n_rows}, {template.n_params})",
            field="params",
            value=bindings.params.shape,
        )
    for name, values in (("rows", bindings.rows), ("params", bindings.params)):
        if not all_finite(values):
            raise CircuitError("angles must be finite", field=name)
    _check_amplitudes(template, bindings)
    if not observables:
        raise CircuitError("at least one observable is needed", field="observables")
    widest = _widest(tuple(observables))
    if widest > template.n_qubits:
        raise CircuitError(
            f"an observable acts on qubit {widest - 1}, the circuit has {template.n_qubits} qubits",
            field="observables",
            value=next(o.label for o in observables if o.n_qubits == widest),
            fix=f"Use qubits 0 to {template.n_qubits - 1}.",
        )


@lru_cache(maxsize=128)
def _widest(observables: tuple[Observable, ...]) -> int:
    return max(observable.n_qubits for observable in observables)


def _check_amplitudes(template: Template, bindings: Bindings) -> None:
    amplitudes = bindings.amplitudes
    if (amplitudes is not None) != (template.initial == "amplitudes"):
        raise CircuitError(
            "amplitudes must be given exactly when the circuit starts from amplitudes",
            field="amplitudes",
            value=None if amplitudes is None else amplitudes.shape,
        )
    if amplitudes is None:
        return
    if amplitudes.shape != (len(bindings.rows), 2**template.n_qubits):
        raise CircuitError(
            f"amplitudes must have shape (N, {2**template.n_qubits})",
            field="amplitudes",
            value=amplitudes.shape,
        )
    squares = np.einsum("nj,nj->n", amplitudes, amplitudes.conj()).real
    if not bool((np.abs(squares - 1.0) <= _NORM_TOLERANCE).all()):
        norms = np.linalg.norm(amplitudes, axis=1)
        worst = int(np.argmax(np.abs(norms - 1.0)))
        raise CircuitError(
            f"amplitudes must have norm 1, row {{row}} has {norms[worst]:.6g}",
            row=worst,
            field="amplitudes",
            fix="Divide each row by its norm; a row of zeros cannot be encoded.",
        )

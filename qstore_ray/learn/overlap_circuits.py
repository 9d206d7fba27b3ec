"""Fidelities of a circuit's states at different parameters, from circuits: no states are needed.

U(θ) makes ψ(θ), and U†(θ') would take ψ(θ') back to zeros. So |⟨ψ(θ')|ψ(θ)⟩|² is the probability
that U†(θ') U(θ) leaves |0…0⟩ alone. From shots it is how often all bits were read as 0, for any
number of qubits; other backends evaluate the projector on zeros, a sum of 2^n Pauli strings.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from qstore_ray.backends.base import Backend, Bindings, takes_no_shots
from qstore_ray.backends.counts import can_count
from qstore_ray.backends.keys import DrawKey
from qstore_ray.circuits.lower import inverse
from qstore_ray.circuits.observable import Observable, PauliTerm
from qstore_ray.circuits.template import Template
from qstore_ray.errors import ConfigError

if TYPE_CHECKING:
    from qstore_ray.types import FloatArray

WIDEST = 10
"""Qubits up to which the projector on zeros is written out."""


def measured_fidelities(
    backend: Backend,
    template: Template,
    bindings: Bindings,
    others: Sequence[Bindings],
    key: DrawKey | None = None,
) -> FloatArray:
    """|⟨ψ_i|ψ'_i⟩|² (M, N) of N rows with the same rows of each of M others, in one evaluation.

    Rows that repeat others have their random errors, and shots of their own.

    Raises:
        ConfigError: the circuit starts from amplitudes, or is too wide for a backend without
            counts.
    """
    is_estimated = getattr(backend, "mitigates", False)  # by IBM's Estimator: values alone
    has_counts = not takes_no_shots(backend) and not is_estimated
    counter = backend if has_counts and can_count(backend) else None
    _check(template, backend, counts=counter is not None)
    n, times = len(bindings), len(others)
    rows = np.vstack([np.hstack([bindings.rows, other.rows]) for other in others])
    params = np.vstack([np.hstack([_by_row(bindings), _by_row(other)]) for other in others])
    asked = Bindings(rows, params)
    drawn: dict[str, Any] = {} if key is None else {"key": key._replace(n_rows=n)}
    circuit = _there_and_back(template)
    if counter is None:
        zeros = (zeros_projector(template.n_qubits),)
        values = backend.evaluate(circuit, zeros, asked, **drawn).values
        return values.reshape(times, n)
    every = Observable((PauliTerm(0, 2**template.n_qubits - 1, 1.0),))  # measures all qubits
    found = counter.counts(circuit, (every,), asked, **drawn)
    (outcomes,) = found.outcomes
    shares = [seen[~bits.any(axis=1)].sum() / seen.sum() for bits, seen in outcomes]
    return np.array(shares, float).reshape(times, n)


def zeros_projector(n_qubits: int) -> Observable:
    """The projector on |0…0⟩, Π_q (1 + Z_q)/2."""
    size = 2**n_qubits
    return Observable(tuple(PauliTerm(0, z, 1.0 / size) for z in range(size)))


@lru_cache(maxsize=16)
def _there_and_back(template: Template) -> Template:
    return template.then(inverse(template))


def _by_row(bindings: Bindings) -> FloatArray:
    """The parameters of each row (N, P)."""
    shape = len(bindings), bindings.params.shape[-1]
    return np.broadcast_to(bindings.params, shape)


def _check(template: Template, backend: Backend, *, counts: bool) -> None:
    if template.initial == "amplitudes":
        raise ConfigError(
            "this backend has no states, and a start from amplitudes cannot be undone",
            field="trainer.backend",
            value=backend.name,
            fix="Take backend = 'statevector' without shots, or another optimizer, for example "
            "'spsa'.",
        )
    if template.n_qubits > WIDEST and not counts:
        raise ConfigError(
            f"this backend has neither states nor counts, and its states are compared on at most "
            f"{WIDEST} qubits, the circuit has {template.n_qubits}",
            field="trainer.backend",
            value=backend.name,
            fix="Take another optimizer, for example 'spsa'.",
        )

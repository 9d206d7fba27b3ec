"""The overlap of two states by circuits alone, for a backend that cannot hand out states.

U(x) makes ψ(x), U(y)† would take ψ(y) back to zeros: so |⟨ψ(y)|ψ(x)⟩|² is the probability that
U(y)† U(x) leaves |0…0⟩ alone (Havlíček et al. 2019, Nature 567, 209). It is one circuit a pair, and
the expectation value of the projector on zeros, Π_q (1 + Z_q)/2, a sum of 2^n Pauli strings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from qstore_ray.backends.base import Backend, Bindings
from qstore_ray.circuits.lower import inverse
from qstore_ray.circuits.template import Template
from qstore_ray.errors import ConfigError
from qstore_ray.learn.overlap_circuits import WIDEST, zeros_projector

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, FloatArray


@dataclass(frozen=True, eq=False)
class Overlaps:
    """|⟨ψ(b_j)|ψ(a_i)⟩|² (N, M) of encoded rows (N, A) and (M, A)."""

    template: Template
    params: FloatArray
    backend: Backend

    def __call__(self, a: AnyArray, b: AnyArray) -> FloatArray:
        """One circuit for each of the N·M pairs, in one evaluation; see `_among` if a is b."""
        if np.array_equal(a, b):
            return self._among(a)
        found = self._of_pairs(np.repeat(a, len(b), axis=0), np.tile(b, (len(a), 1)))
        return found.reshape(len(a), len(b))

    def _among(self, a: AnyArray) -> FloatArray:
        """The symmetric matrix with ones on its diagonal: a circuit for each of N(N − 1)/2 pairs.

        Circuits are paid on hardware.
        """
        found = np.eye(len(a))
        first, second = np.triu_indices(len(a), 1)
        if len(first):
            found[first, second] = self._of_pairs(a[first], a[second])
            found[second, first] = found[first, second]
        return found

    def _of_pairs(self, a: AnyArray, b: AnyArray) -> FloatArray:
        """|⟨ψ(b_i)|ψ(a_i)⟩|² (N,) of encoded rows (N, A) and (N, A)."""
        there_and_back = self.template.then(inverse(self.template))
        bindings = Bindings(np.hstack([a, b]), np.tile(self.params, 2))
        zeros = (zeros_projector(self.template.n_qubits),)
        return self.backend.evaluate(there_and_back, zeros, bindings).values[:, 0]


def check_overlaps(template: Template, backend: Backend) -> None:
    """Raise `ConfigError` where pairs of a circuit's states cannot be compared by circuits."""
    fix = "Take the backend statevector, or the projected kernel."
    if template.initial == "amplitudes":
        raise ConfigError(
            "this backend has no states, and a start from amplitudes cannot be undone",
            field="backend",
            value=backend.name,
            fix=fix,
        )
    if template.n_qubits > WIDEST:
        raise ConfigError(
            f"this backend has no states, and pairs are compared by circuits of at most {WIDEST} "
            f"qubits, the circuit has {template.n_qubits}",
            field="backend",
            value=backend.name,
            fix=fix,
        )

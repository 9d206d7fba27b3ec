"""Readout inversion, qubit by qubit, in the outcomes: for a backend that gives counts.

A bit s = ±1 of a qubit whose mean is read as a + b Z is worth (s − a)/b, and a string the product
over its qubits. The means are those of the inverted observables (`inverse_readout.py`), but what is
measured does not depend on a and b: circuits and their calibration can share a job.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from qstore_ray.backends.base import Estimates
from qstore_ray.backends.counts import Counts
from qstore_ray.backends.grouping import MeasuredBasis
from qstore_ray.backends.mitigation.calibration_errors import with_shared_errors

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, FloatArray


class _Strings(NamedTuple):
    """T strings of a basis: which of its m qubits each has (T, m), and weights (T, O)."""

    members: AnyArray
    weights: FloatArray

    @classmethod
    def of(cls, basis: MeasuredBasis) -> _Strings:
        rows = [[mask >> q & 1 for q in basis.qubits] for mask in basis.masks]
        return cls(np.array(rows, bool), basis.weights)

    def values(self, factors: FloatArray) -> FloatArray:
        """Worth (K, O) of outcomes whose bits are worth `factors` (K, m)."""
        found: FloatArray = self._products(factors, self.members) @ self.weights
        return found

    def slopes(self, factors: FloatArray, qubit: int, change: FloatArray) -> FloatArray:
        """The change of the worth (K, O) if that of one qubit's bit changes by `change` (K,)."""
        others = self.members.copy()
        others[:, qubit] = False
        with_it = self._products(factors, others) * self.members[:, qubit]
        found: FloatArray = (with_it @ self.weights) * change[:, None]
        return found

    @staticmethod
    def _products(factors: FloatArray, members: AnyArray) -> FloatArray:
        found: FloatArray = np.where(members, factors[:, None, :], 1.0).prod(axis=2)
        return found


def estimates_of_counts(
    counts: Counts, shifts: Sequence[float], slopes: Sequence[float], errors: FloatArray | None
) -> Estimates:
    """Values (N, O) as if every qubit were read rightly.

    Args:
        shifts, slopes: a and b of each of n qubits.
        errors: standard errors (2n,) of P(1|0) and P(0|1) of each qubit in turn.
    """
    a, b = np.array(shifts), np.array(slopes)

    def factors(basis: MeasuredBasis, bits: AnyArray) -> FloatArray:
        qubits = list(basis.qubits)
        found: FloatArray = (1.0 - 2.0 * bits - a[qubits]) / b[qubits]
        return found

    found = counts.estimates(lambda basis, bits: _Strings.of(basis).values(factors(basis, bits)))
    if errors is None:
        return found
    changes = np.zeros((*found.values.shape, len(errors)))
    for basis, rows in zip(counts.bases, counts.outcomes, strict=True):
        strings = _Strings.of(basis)
        for row, (bits, times) in enumerate(rows):
            worth, shares = factors(basis, bits), times / times.sum()
            for place, q in enumerate(basis.qubits):
                for which, sign in ((2 * q, 1.0), (2 * q + 1, -1.0)):
                    change = (sign + worth[:, place]) / b[q]
                    changes[row, :, which] += shares @ strings.slopes(worth, place, change)
    return with_shared_errors(found, changes * errors)

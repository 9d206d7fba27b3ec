"""From counts of outcomes to values of observables: strings first, because their sums are exact.

The sum of a string over shots is a whole number, the same in any order of addition. Weights
come last, row by row. So a row's value has the same bits in every batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from qstore_ray.backends.sampling.draws import ShotStream, counts_of, distinct_outcomes

if TYPE_CHECKING:
    from qstore_ray.backends.grouping import MeasuredBasis
    from qstore_ray.types import FloatArray, IntArray

_TABLE = 2**19
"""Numbers of a table of the strings' values at all outcomes; with more, outcomes are looked at."""
_SPARSE = 8
"""Outcomes for each shot up to which all are counted; with more, most of them are never seen."""


class BasisMoments(NamedTuple):
    """Means (E, O) of what one basis adds to each observable, and of its squares (E, O)."""

    means: FloatArray
    squares: FloatArray


@dataclass(frozen=True, eq=False)
class BasisTally:
    """Counts the outcomes of one basis; an outcome has a bit for each measured qubit."""

    basis: MeasuredBasis

    @cached_property
    def masks(self) -> IntArray:
        """The bits of each string (T,)."""
        qubits = self.basis.qubits
        return np.array(
            [sum((mask >> q & 1) << k for k, q in enumerate(qubits)) for mask in self.basis.masks]
        )

    @cached_property
    def sums(self) -> IntArray:
        """The observables with several strings: their squares are no constants."""
        return np.flatnonzero((self.basis.weights != 0.0).sum(axis=0) > 1)

    def moments(self, stream: ShotStream, first: int, probabilities: FloatArray) -> BasisMoments:
        """Draw the shots of experiments (E, K), the first of which has the number `first`."""
        n, outcomes = probabilities.shape
        shots = stream.of(first, first + n)[:, None].astype(np.float64)
        squares = np.tile((self.basis.weights**2).sum(axis=0), (n, 1))
        if outcomes * len(self.masks) <= _TABLE and outcomes <= _SPARSE * shots[0, 0]:
            counts = counts_of(stream, first, probabilities).astype(np.float64)
            strings = counts @ self._signs
            if len(self.sums):
                squares[:, self.sums] = _by_row(counts, self._squares) / shots
        else:
            strings = np.empty((n, len(self.masks)))
            drawn = distinct_outcomes(stream, first, probabilities)
            for row, (seen, times) in enumerate(drawn):
                strings[row], of_sums = self._looked_at(seen, times.astype(np.float64))
                squares[row, self.sums] = of_sums / shots[row]
        return BasisMoments(_by_row(strings / shots, self.basis.weights), squares)

    @cached_property
    def _signs(self) -> FloatArray:
        """Values of the strings at every outcome (K, T)."""
        return _signs(np.arange(2 ** len(self.basis.qubits))[:, None], self.masks)

    @cached_property
    def _squares(self) -> FloatArray:
        """Squares of the sums at every outcome (K, sums)."""
        found: FloatArray = (self._signs @ self.basis.weights[:, self.sums]) ** 2
        return found

    def _looked_at(self, seen: IntArray, counts: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Σ over shots of each string (T,), and of the square of each sum."""
        strings = np.empty(len(self.masks))
        values = np.zeros((len(seen), len(self.sums)))
        for place, mask in enumerate(self.masks):
            signs = _signs(seen, mask)
            strings[place] = counts @ signs
            values += signs[:, None] * self.basis.weights[place, self.sums]
        return strings, counts @ values**2


def _signs(outcomes: IntArray, masks: IntArray) -> FloatArray:
    odd = np.bitwise_count(outcomes & masks) & 1
    found: FloatArray = 1.0 - 2.0 * odd.astype(np.float64)
    return found


def _by_row(left: FloatArray, right: FloatArray) -> FloatArray:
    """A product whose rows are multiplied one by one: they round alike in any batch."""
    found: FloatArray = np.matmul(left[:, None, :], right)[:, 0]
    return found

"""How rows of features become the angles and amplitudes of a circuit.

What an encoding computes, without its gates: each is a function of one row alone, and knows the
transpose of its derivative. `encodings.py` puts them in front of gates.

Letters: B rows of a batch, F features, A encoded angles, n qubits.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from qstore_ray.circuits.circuit import Encoding
from qstore_ray.errors import CircuitError, DataError

if TYPE_CHECKING:
    from qstore_ray.types import ComplexArray, FloatArray


@dataclass(frozen=True)
class Features:
    """Every feature is an angle: (B, F) → (B, F)."""

    def __call__(self, x: FloatArray) -> FloatArray:
        """The features themselves."""
        return x.copy()

    def pullback(self, x: FloatArray, cotangent: FloatArray) -> FloatArray:
        """The cotangent: J = 1."""
        return cotangent.copy()


@dataclass(frozen=True)
class Bits:
    """Features that are 0 or 1, as they are: (B, F) → (B, F).

    Raises:
        DataError: a feature that is neither 0 nor 1.
        CircuitError: `pullback`; a bit has no derivative.
    """

    def __call__(self, x: FloatArray) -> FloatArray:
        """x, once it is known to be bits."""
        binary = ((x == 0.0) | (x == 1.0)).all(axis=1)
        if not binary.all():
            raise DataError(
                "basis encoding takes features of 0 and 1, row {row} holds others",
                row=int(np.argmin(binary)),
                field="x",
                fix="Binarise the features first, or use the encoding angle.",
            )
        return (x > 0.5).astype(np.float64)

    def pullback(self, x: FloatArray, cotangent: FloatArray) -> FloatArray:
        """Always raises.

        Raises:
            CircuitError: always; the encoding has no derivative.
        """
        raise CircuitError(
            "basis encoding has no derivative",
            field="encoding",
            fix="Use the encoding angle where features have to be differentiated.",
        )


@dataclass(frozen=True)
class PairProducts:
    """x_i, then (c − x_i)(c − x_j) for every i < j: (B, F) → (B, F + F(F−1)/2)."""

    n_features: int
    center: float

    def __call__(self, x: FloatArray) -> FloatArray:
        """[x, (c − x_i)(c − x_j) …]."""
        i, j = self._pairs()
        return np.hstack([x, (self.center - x[:, i]) * (self.center - x[:, j])])

    def pullback(self, x: FloatArray, cotangent: FloatArray) -> FloatArray:
        """∂/∂x_i of the product is −(c − x_j), and the other way round."""
        gradient = cotangent[:, : self.n_features].copy()
        i, j = self._pairs()
        for k, (a, b) in enumerate(zip(i, j, strict=True)):
            gradient[:, a] -= cotangent[:, self.n_features + k] * (self.center - x[:, b])
            gradient[:, b] -= cotangent[:, self.n_features + k] * (self.center - x[:, a])
        return gradient

    def _pairs(self) -> tuple[list[int], list[int]]:
        pairs = list(combinations(range(self.n_features), 2))
        return [i for i, _ in pairs], [j for _, j in pairs]


@dataclass(frozen=True)
class Repeated:
    """The angles of `inner`, `times` over, so that each repetition has slots of its own.

    (B, F) → (B, times · A).
    """

    inner: Encoding
    times: int

    def __call__(self, x: FloatArray) -> FloatArray:
        """[inner(x), inner(x), …]."""
        return np.tile(self.inner(x), (1, self.times))

    def pullback(self, x: FloatArray, cotangent: FloatArray) -> FloatArray:
        """The repetitions' cotangents added up, through `inner`."""
        summed = cotangent.reshape(len(x), self.times, -1).sum(axis=1)
        return self.inner.pullback(x, summed)


@dataclass(frozen=True)
class NoAngles:
    """No angles at all: (B, F) → (B, 0)."""

    def __call__(self, x: FloatArray) -> FloatArray:
        """Rows without columns."""
        return np.zeros((len(x), 0))

    def pullback(self, x: FloatArray, cotangent: FloatArray) -> FloatArray:
        """J has no rows: (B, 0) · (0, F)."""
        gradient: FloatArray = cotangent @ np.zeros((0, x.shape[1]))
        return gradient


@dataclass(frozen=True)
class RowAmplitudes:
    """x / ‖x‖, padded with zeros: (B, F) → (B, 2^n).

    Raises:
        DataError: a row of zeros, which is no quantum state.
    """

    n_qubits: int

    def __call__(self, x: FloatArray) -> FloatArray:
        """[x / ‖x‖, 0, 0, …]."""
        out = np.zeros((len(x), 2**self.n_qubits))
        out[:, : x.shape[1]] = x / self._norms(x)
        return out

    def pullback(self, x: FloatArray, cotangent: ComplexArray) -> FloatArray:
        """(1 − uuᵀ) · Re(cotangent) / ‖x‖ with u = x / ‖x‖: only what turns the row counts."""
        norms = self._norms(x)
        unit, real = x / norms, cotangent.real[:, : x.shape[1]]
        along = (unit * real).sum(axis=1, keepdims=True)
        gradient: FloatArray = (real - along * unit) / norms
        return gradient

    @staticmethod
    def _norms(x: FloatArray) -> FloatArray:
        largest = np.abs(x).max(axis=1, keepdims=True)
        if not largest.all():
            raise DataError(
                "row {row} is all zeros and cannot be an amplitude vector",
                row=int(np.argmin(largest)),
                field="x",
                fix="Drop such rows, or use the encoding angle.",
            )
        # Dividing by the largest first keeps the squares from overflowing or vanishing.
        scaled = x / largest
        norms: FloatArray = largest * np.sqrt((scaled * scaled).sum(axis=1, keepdims=True))
        return norms

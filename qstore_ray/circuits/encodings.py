"""How classical features enter a circuit.

    angle         RY(x_i) on qubit i                                            F ≤ n
    dense_angle   RY(x_i) on qubit i, then RZ(x_{n+i})                          F ≤ 2n
    amplitude     the normalised, zero-padded row is the initial state          F ≤ 2^n
    basis         X on qubit i where the feature is 1, for features of 0 and 1  F ≤ n
    zz            the ZZ feature map of Havlíček et al. 2019                    F = n
    iqp           H, then diagonal gates of x_i and x_i·x_j                     F ≤ n

Each builder returns an `Encoded`: the gates with their row slots, and the function that fills the
slots. Angles enter as they are, in radians: scaling features into a sensible range is the work of
the preprocessing, fitted on the training rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from qstore_ray.circuits.circuit import AmplitudeLoading, Encoding
from qstore_ray.circuits.template import Op, Template, row
from qstore_ray.errors import CircuitError, DataError

if TYPE_CHECKING:
    from qstore_ray.types import ComplexArray, FloatArray


class Encoded(NamedTuple):
    """Gates that take in one row, and the function(s) that fill their slots."""

    template: Template
    encode: Encoding
    load: AmplitudeLoading | None = None


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
            worst = int(np.argmin(binary))
            raise DataError(
                f"basis encoding takes features of 0 and 1, row {worst} holds others",
                field="x",
                fix="Binarise the features first, or use the encoding angle.",
            )
        return (x > 0.5).astype(np.float64)

    def pullback(self, x: FloatArray, cotangent: FloatArray) -> FloatArray:
        """Always raises."""
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
class Amplitudes:
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
                f"row {int(np.argmin(largest))} is all zeros and cannot be an amplitude vector",
                field="x",
                fix="Drop such rows, or use the encoding angle.",
            )
        # Dividing by the largest first keeps the squares from overflowing or vanishing.
        scaled = x / largest
        norms: FloatArray = largest * np.sqrt((scaled * scaled).sum(axis=1, keepdims=True))
        return norms


def angle(n_qubits: int, n_features: int) -> Encoded:
    """RY(x_i) on qubit i."""
    _at_most(n_features, n_qubits, "angle", n_qubits)
    ops = tuple(Op("ry", (i,), (row(i),)) for i in range(n_features))
    return Encoded(Template(n_qubits, ops, n_rows=n_features), Features())


def dense_angle(n_qubits: int, n_features: int) -> Encoded:
    """RY(x_i) on qubit i, then RZ(x_{n+i}): two features a qubit (LaRose & Coyle 2020)."""
    _at_most(n_features, 2 * n_qubits, "dense_angle", n_qubits)
    ops = tuple(
        Op("ry" if i < n_qubits else "rz", (i % n_qubits,), (row(i),)) for i in range(n_features)
    )
    return Encoded(Template(n_qubits, ops, n_rows=n_features), Features())


def amplitude(n_qubits: int, n_features: int) -> Encoded:
    """The initial state Σ_j x_j |j⟩ / ‖x‖, padded with zeros to 2^n."""
    _at_most(n_features, 2**n_qubits, "amplitude", n_qubits)
    template = Template(n_qubits, (), initial="amplitudes")
    return Encoded(template, NoAngles(), Amplitudes(n_qubits))


def basis(n_qubits: int, n_features: int) -> Encoded:
    """RX(π·x_i) on qubit i, which is X (up to a phase) for 1 and nothing for 0."""
    _at_most(n_features, n_qubits, "basis", n_qubits)
    ops = tuple(Op("rx", (i,), (row(i, scale=math.pi),)) for i in range(n_features))
    return Encoded(Template(n_qubits, ops, n_rows=n_features), Bits())


def zz(n_qubits: int, n_features: int, reps: int = 2) -> Encoded:
    """ZZ feature map: `reps` times H, P(2x_i), and P(2(π−x_i)(π−x_j)) between CX for all i < j.

    Havlíček et al., Nature 567, 209 (2019), arXiv:1804.11326; the same circuit as Qiskit's.
    """
    if n_features != n_qubits:
        raise CircuitError(
            f"the encoding zz takes as many features as qubits, {n_qubits}",
            field="n_features",
            value=n_features,
            fix=f"Set n_qubits to {n_features}, or reduce the data to {n_qubits} components (PCA).",
        )
    once: list[Op] = [Op("h", (i,)) for i in range(n_qubits)]
    once += [Op("p", (i,), (row(i, scale=2.0),)) for i in range(n_qubits)]
    for slot, (i, j) in _pair_slots(n_features):
        once += [Op("cx", (i, j)), Op("p", (j,), (row(slot, scale=2.0),)), Op("cx", (i, j))]
    return _diagonal(n_qubits, n_features, once, reps, math.pi)


def iqp(n_qubits: int, n_features: int, reps: int = 1) -> Encoded:
    """`reps` times H, RZ(x_i) and RZZ(x_i·x_j) for all i < j, on the first F qubits.

    The instantaneous quantum polynomial form of Havlíček et al. 2019, arXiv:1804.11326.
    """
    _at_most(n_features, n_qubits, "iqp", n_qubits)
    once: list[Op] = [Op("h", (i,)) for i in range(n_features)]
    once += [Op("rz", (i,), (row(i),)) for i in range(n_features)]
    once += [Op("rzz", pair, (row(slot),)) for slot, pair in _pair_slots(n_features)]
    return _diagonal(n_qubits, n_features, once, reps, 0.0)


ENCODINGS: dict[str, Callable[[int, int], Encoded]] = {
    "angle": angle,
    "dense_angle": dense_angle,
    "amplitude": amplitude,
    "basis": basis,
    "zz": zz,
    "iqp": iqp,
}


def _diagonal(n_qubits: int, n_features: int, once: list[Op], reps: int, center: float) -> Encoded:
    n_rows = n_features + n_features * (n_features - 1) // 2
    template = Template(n_qubits, tuple(once) * reps, n_rows=n_rows)
    return Encoded(template, PairProducts(n_features, center))


def _pair_slots(n_features: int) -> Iterator[tuple[int, tuple[int, int]]]:
    return enumerate(combinations(range(n_features), 2), start=n_features)


def _at_most(n_features: int, limit: int, encoding: str, n_qubits: int) -> None:
    if n_features > limit:
        raise CircuitError(
            f"the encoding {encoding} takes at most {limit} features on {n_qubits} qubits",
            field="n_features",
            value=n_features,
            fix=_room_for(n_features, limit, encoding, n_qubits),
        )


def _room_for(n_features: int, limit: int, encoding: str, n_qubits: int) -> str:
    ways = [f"reduce the data to {limit} components (PCA)"]
    if encoding != "dense_angle" and n_features <= 2 * n_qubits:
        ways.append("use the encoding dense_angle (two features a qubit)")
    if encoding != "amplitude" and n_features <= 2**n_qubits:
        ways.append("use the encoding amplitude")
    per_qubit = {"dense_angle": -(-n_features // 2), "amplitude": (n_features - 1).bit_length()}
    ways.append(f"set n_qubits to {per_qubit.get(encoding, n_features)}")
    text = ", or ".join(ways)
    return f"{text[0].upper()}{text[1:]}."

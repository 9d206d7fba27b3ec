"""A circuit that takes raw features: a template, and the encoding that fills its row angles.

A template knows angles only. What turns a row of F features into its A angles is the encoding, a
pure function of that row alone: encoding a batch is encoding its rows one by one, bit for bit, and
nothing is rescaled by what else is in the row or the batch. (The one exception is forced: a quantum
state has norm 1, so amplitude encoding divides a row by its norm.)

Encodings are values too (frozen dataclasses), so a circuit can be compared, used as a dictionary
key and sent to a worker.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

from qstore_ray.circuits.template import Template
from qstore_ray.errors import CircuitError, DataError

if TYPE_CHECKING:
    from qstore_ray.types import ComplexArray, FloatArray


class Encoding(Protocol):
    """A row-wise function from features (B, F) to angles (B, A), hashable and picklable."""

    def __call__(self, x: FloatArray) -> FloatArray:
        """Angles (B, A) of features (B, F)."""
        ...

    def pullback(self, x: FloatArray, cotangent: FloatArray) -> FloatArray:
        """Jᵀ·cotangent: from the gradient of the angles (B, A) to that of the features (B, F)."""
        ...


class AmplitudeLoading(Protocol):
    """A row-wise function from features (B, F) to states (B, 2^n), hashable and picklable."""

    def __call__(self, x: FloatArray) -> FloatArray:
        """Amplitudes (B, 2^n), each row of norm 1, of features (B, F)."""
        ...

    def pullback(self, x: FloatArray, cotangent: ComplexArray) -> FloatArray:
        """Jᵀ·cotangent: from ∂/∂Re + i·∂/∂Im of the amplitudes (B, 2^n) to features (B, F)."""
        ...


def all_finite(values: FloatArray) -> bool:
    """Whether no value is NaN or infinite.

    This runs at every training step. A finite sum proves it in a fifth of the time of a test of
    every number; the numbers are tested only if the sum is not finite.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # the sum may be too large, or ∞ − ∞
        total = np.add.reduce(values, axis=None)
    return math.isfinite(total) or bool(np.isfinite(values).all())


@dataclass(frozen=True)
class Circuit:
    """A template with F = `n_features` raw features in front of it.

    Args:
        template: the gates; its A row slots are what `encode` fills.
        n_features: F, the width of the data.
        name: how it appears in logs and checkpoints.
        encode: features (B, F) to angles (B, A).
        load: features (B, F) to amplitudes (B, 2^n), only if the template starts from them.
        wires: the numbers of its n qubits in the user's circuit; empty if they are the same. They
            are for display: two circuits that differ in them alone are equal.

    Raises:
        CircuitError: `load` given without a template that starts from amplitudes, or the reverse.

    Examples:
        circuit = build_circuit(
            encoding="angle", ansatz="basic", n_qubits=2, n_features=2, layers=1
        )
        assert circuit.angles(np.array([[0.1, 0.2]])).shape == (1, 2)
    """

    template: Template
    n_features: int
    name: str
    encode: Encoding
    load: AmplitudeLoading | None = None
    wires: tuple[int, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        if (self.load is not None) != (self.template.initial == "amplitudes"):
            raise CircuitError(
                "`load` is given exactly when the template starts from amplitudes",
                field="load",
                value=self.template.initial,
            )

    def angles(self, x: FloatArray) -> FloatArray:
        """Encoded angles (B, A) in radians of features (B, F).

        Raises:
            DataError: a wrong width, NaN or infinity, or values the encoding cannot take.
        """
        angles = self.encode(self._checked(x))
        if not all_finite(angles):
            finite = np.isfinite(angles).all(axis=1)
            raise DataError(
                "row {row} is encoded as an angle that is not finite",
                row=int(np.argmin(finite)),
                field="x",
                fix="Scale the features into the range where the circuit's formulas are defined.",
            )
        return angles

    def amplitudes(self, x: FloatArray) -> FloatArray | None:
        """Initial states (B, 2^n) of features (B, F); None where the circuit starts in |0…0⟩.

        Raises:
            DataError: a wrong width, NaN or infinity, or a row of zeros.
        """
        return None if self.load is None else self.load(self._checked(x))

    def pullback(
        self, x: FloatArray, angles: FloatArray, amplitudes: ComplexArray | None = None
    ) -> FloatArray:
        """Gradient of the features (B, F) from that of the angles (B, A) and amplitudes (B, 2^n).

        Raises:
            CircuitError: an encoding that has no derivative, or missing amplitude gradients.
        """
        x = self._checked(x)
        gradient = self.encode.pullback(x, angles)
        if self.load is None:
            return gradient
        if amplitudes is None:
            raise CircuitError("the gradient of the amplitudes is needed", field="amplitudes")
        return gradient + self.load.pullback(x, amplitudes)

    def _checked(self, x: FloatArray) -> FloatArray:
        # C order, because the order in memory decides in which order numpy adds up a row.
        rows = np.ascontiguousarray(x, dtype=np.float64)
        if rows.ndim != 2 or rows.shape[1] != self.n_features:
            raise DataError(
                f"the circuit {self.name!r} takes rows of {self.n_features} features",
                field="x",
                value=rows.shape,
            )
        if not all_finite(rows):
            finite = np.isfinite(rows).all(axis=1)
            raise DataError(
                "row {row} holds NaN or infinity",
                row=int(np.argmin(finite)),
                field="x",
                fix="Impute or drop missing values before the circuit.",
            )
        return rows

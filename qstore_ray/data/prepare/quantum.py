"""From features to what an encoding takes: the preparation that each encoding of data needs.

    DatasetConfig(..., preprocessing=preprocessing_for("angle", n_qubits=4, n_features=4))

A circuit turns features into angles, bits or amplitudes, each of which is periodic, two-valued or
without length. Raw features would be folded, refused or made equal by it. What is put before a
circuit here scales column by column, by what was seen in train; never row by row, which would make
(0, 1, 2, 3) and (0, 10, 20, 30) the same.

    angle, dense_angle, iqp   [0, π]              the angle is x
    zz                        [0, π/2]            the angle is 2x
    hamiltonian               [0, π/4]            the angles of all steps sum to 2x; a turn is π
    basis                     0 or 1              by the column's median
    amplitude                 (x, 1, 0 …)/norm    columns in [0, 1]; the 1 keeps the length

Angles span half a turn. On it neither an angle nor its cosine, which is what a measurement gives,
takes a value twice: the smallest and the largest value of a column stay apart, as they would not
on [0, 2π], whose ends are one angle. Rows outside train's range are held at the ends (`clip`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qstore_ray.circuits.library.encodings import ENCODINGS
from qstore_ray.data.prepare.prepare import Preparation
from qstore_ray.data.prepare.steps import Amplitudes, Binarize, MinMax
from qstore_ray.data.rows.validate import as_features
from qstore_ray.errors import UsageError, unknown_name_error

if TYPE_CHECKING:
    from qstore_ray.data.prepare.steps import Step
    from qstore_ray.types import FloatArray

HALF_TURN: Mapping[str, float] = {
    "angle": math.pi,
    "dense_angle": math.pi,
    "iqp": math.pi,
    "zz": math.pi / 2,
    "hamiltonian": math.pi / 4,
}
"""Largest feature of the encodings that turn qubits: where their angle is half a turn.

RXX(a)·RYY(a)·RZZ(a) leaves all as it is at a = 0 and a = π, and swaps two qubits half way.
"""

_LOWEST_AMPLITUDE = 0.1  # where no place is left for a constant: no row of train is all zeros


def preprocessing_for(encoding: str, n_qubits: int, n_features: int) -> tuple[Step, ...]:
    """The steps that bring `n_features` columns into what `encoding` takes on `n_qubits`.

    Amplitudes of exactly 2^n features leave no place for the constant: their columns are scaled
    to [0.1, 1], and rows that are then multiples of each other are one state.

    Raises:
        UnknownNameError: no such encoding.
        CircuitError: more features than it takes, with the number of components that it does.

    Examples:
        (step,) = preprocessing_for("angle", n_qubits=4, n_features=4)
        assert step.feature_range == (0.0, np.pi)
    """
    if encoding not in ENCODINGS:
        raise unknown_name_error("encoding", encoding, ENCODINGS, field="encoding")
    ENCODINGS[encoding](n_qubits, n_features)  # refuses what is too wide
    if encoding == "basis":
        return (Binarize(),)
    if encoding == "amplitude":
        width = 2**n_qubits
        if n_features == width:
            unit = MinMax(feature_range=(_LOWEST_AMPLITUDE, 1.0), clip=True)
            return unit, Amplitudes(width=width)
        return MinMax(feature_range=(0.0, 1.0), clip=True), Amplitudes(width=width, constant=1.0)
    return (MinMax(feature_range=(0.0, HALF_TURN[encoding]), clip=True),)


@dataclass(frozen=True)
class QuantumDataAdapter:
    """Fits features to an encoding: `fit` on train once, then `transform` any rows.

        adapter = QuantumDataAdapter("angle", n_qubits=4).fit(x_train)
        angles = adapter.transform(x_test)

    Args:
        encoding: a name of `circuits.encodings.ENCODINGS`.
        n_qubits: n.
        preparation: what `fit` found; None before.
    """

    encoding: str
    n_qubits: int
    preparation: Preparation | None = None

    def fit(self, x: Any) -> QuantumDataAdapter:
        """This adapter fitted on the training rows `x` (N, F), images (N, …) flattened.

        Raises:
            CircuitError: more features than the encoding takes.
            DataError: NaN, infinity, ragged rows.
        """
        rows = as_features(x)
        steps = preprocessing_for(self.encoding, self.n_qubits, rows.shape[1])
        return QuantumDataAdapter(self.encoding, self.n_qubits, Preparation.fit(steps, rows))

    def transform(self, x: Any) -> FloatArray:
        """The rows `x` (B, F) as the encoding takes them, (B, F) or (B, 2^n) amplitudes.

        Raises:
            UsageError: before `fit`.
            DataError: NaN, infinity, ragged rows, another width, a row that is no state.
        """
        if self.preparation is None:
            raise UsageError(
                "the adapter has not seen training rows yet",
                field="preparation",
                fix="Use adapter = adapter.fit(x_train), which gives a fitted adapter.",
            )
        return self.preparation.transform(x)

"""Augmentation of rows that a circuit encodes: the noise of the quantum state, put into the row.

Two encodings are understood (`circuits/library/encodings.py`):

    angle       feature i is the angle of RY(x_i)|0⟩ = cos(x_i/2)|0⟩ + sin(x_i/2)|1⟩ on qubit i
    amplitude   the row is the state Σ_j x_j |j⟩ / ‖x‖; qubit q is bit q of j, bit 0 the lowest

A Pauli operator maps such a state to one that a row encodes too, up to a global phase:

    X   angle  θ → π − θ      amplitudes  index j → j with bit q flipped
    Z   angle  θ → −θ         amplitudes  sign of x_j changed where bit q of j is 1
    Y   angle  θ → θ + π      amplitudes  both

so that a channel made of Pauli operators, which noise often is, can be drawn row by row: the mean
over the draws is the channel (Nielsen & Chuang, section 8.3). It acts on the encoded state alone,
before the ansatz; a circuit that loads the data again in later layers gets the changed row again.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field

from qstore_ray.data.augment.base import Augmentation, Keys, Shape
from qstore_ray.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from qstore_ray.types import FloatArray


class AngleJitter(Augmentation):
    """x + ε with ε ~ N(0, std²) for every angle: rotations that are not exact.

    Over the draws ⟨Z⟩ and ⟨X⟩ of RY(x)|0⟩ shrink by exp(−std²/2).

    Args:
        std: radians.
    """

    on_encoded: ClassVar[bool] = True

    name: Literal["angle_jitter"] = "angle_jitter"
    std: float = Field(default=0.05, ge=0.0)

    def change(self, x: FloatArray, keys: Keys, shape: Shape | None) -> FloatArray:
        """The angles `x` (B, F) jittered, (B, F), radians."""
        return x + self.std * keys.normal(x.shape[1])


class AmplitudeNoise(Augmentation):
    """‖x‖ · v/‖v‖ with v = x/‖x‖ + ε, ε ~ N(0, std²): a state prepared not quite as asked.

    The norm of the row is kept; a row of zeros, which is no state, stays a row of zeros.

    Args:
        std: of every amplitude, where the state has norm 1.
    """

    on_encoded: ClassVar[bool] = True

    name: Literal["amplitude_noise"] = "amplitude_noise"
    std: float = Field(default=0.01, ge=0.0)

    def change(self, x: FloatArray, keys: Keys, shape: Shape | None) -> FloatArray:
        """The states `x` (B, F) turned a little, (B, F)."""
        largest = np.abs(x).max(axis=1, keepdims=True)
        state, norm = _unit(_over(x, largest))  # squares of 1e200 or 1e-200 would leave float64
        noisy, _ = _unit(state + self.std * keys.normal(x.shape[1]))
        back: FloatArray = noisy * norm * largest
        return back


class PhaseNoise(Augmentation):
    """RZ(φ) with φ ~ N(0, std²) on every qubit, as the phase flip that is the same channel.

    A row holds real amplitudes and angles, a random phase would leave them. But averaged over φ it
    is Z with probability (1 − exp(−std²/2)) / 2, and that is what is drawn: ⟨Z⟩ stays, ⟨X⟩ shrinks
    by exp(−std²/2).

    Args:
        std: of the phase, radians.
        encoding: how the rows are encoded.
        probability: of a sample to pass the channel.
    """

    on_encoded: ClassVar[bool] = True

    name: Literal["phase_noise"] = "phase_noise"
    std: float = Field(default=0.1, ge=0.0)
    encoding: Literal["angle", "amplitude"] = "angle"
    probability: float = Field(default=1.0, ge=0.0, le=1.0)

    def change(self, x: FloatArray, keys: Keys, shape: Shape | None) -> FloatArray:
        """The rows `x` (B, F) after the channel, (B, F)."""
        flip = keys.uniform(_qubits(x, self.encoding)) < 0.5 * -math.expm1(-(self.std**2) / 2)
        return _paulis(x, np.zeros_like(flip), flip, self.encoding)


class Depolarizing(Augmentation):
    """X, Y or Z, each with probability p/3, on every qubit on its own.

    The depolarising channel: ⟨X⟩, ⟨Y⟩ and ⟨Z⟩ of a qubit shrink by 1 − 4p/3.

    Args:
        p: probability of an error on a qubit; 3/4 leaves nothing of the state.
        encoding: how the rows are encoded; `amplitude` needs F = 2^n.
        probability: of a sample to pass the channel.
    """

    on_encoded: ClassVar[bool] = True

    name: Literal["depolarizing"] = "depolarizing"
    p: float = Field(default=0.01, ge=0.0, le=1.0)
    encoding: Literal["angle", "amplitude"] = "angle"
    probability: float = Field(default=1.0, ge=0.0, le=1.0)

    def check_width(self, n_features: int) -> None:
        """Raise `DataError` for amplitudes whose number is not a power of two."""
        n_amplitudes = 1 << (n_features - 1).bit_length()
        if self.encoding == "amplitude" and n_features != n_amplitudes:
            raise DataError(
                "depolarizing exchanges amplitudes, which takes a power of two of them",
                field="encoding",
                value=n_features,
                fix=f"Pad the rows with zeros to {n_amplitudes} features.",
            )

    def change(self, x: FloatArray, keys: Keys, shape: Shape | None) -> FloatArray:
        """The rows `x` (B, F) after the channel, (B, F)."""
        draw = keys.uniform(_qubits(x, self.encoding))
        flip_bit = draw < 2 * self.p / 3  # X and Y
        flip_phase = (draw >= self.p / 3) & (draw < self.p)  # Y and Z
        return _paulis(x, flip_bit, flip_phase, self.encoding)


def _unit(x: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The rows `x` (B, F) with norm 1, and their norms (B, 1)."""
    norm = np.sqrt((x * x).sum(axis=1, keepdims=True))
    return _over(x, norm), norm


def _over(x: FloatArray, by: FloatArray) -> FloatArray:
    """x / by (B, F), and 0 in rows where `by` (B, 1) is 0."""
    return np.divide(x, by, out=np.zeros_like(x), where=by > 0.0)


def _qubits(x: FloatArray, encoding: str) -> int:
    """n: how many qubits the rows `x` (B, F) are encoded on."""
    width = len(x[0])
    return width if encoding == "angle" else (width - 1).bit_length()


def _paulis(
    x: FloatArray, flip_bit: NDArray[np.bool_], flip_phase: NDArray[np.bool_], encoding: str
) -> FloatArray:
    """Z where `flip_phase` (B, n), then X where `flip_bit` (B, n); both are Y up to a phase."""
    if encoding == "angle":
        angles = np.where(flip_phase, -x, x)
        return np.where(flip_bit, math.pi - angles, angles)
    weights = 1 << np.arange(flip_bit.shape[1])
    index = np.arange(x.shape[1])
    phase = (flip_phase * weights).sum(axis=1)[:, None]
    odd = np.bitwise_count(index & phase) & 1
    moved = index ^ (flip_bit * weights).sum(axis=1)[:, None]
    return np.take_along_axis(np.where(odd == 1, -x, x), moved, axis=1)

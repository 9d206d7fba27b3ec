"""Skill of a model that was not measured, from the candidates that are most like it.

    s(c) = q̄ + k(c)ᵀ (K + λI)⁻¹ (q − q̄),    k = exp(−|c − c′|² / 2ℓ²)

with the skills q (C,) that are predicted of the candidates on the same data, and what a circuit and
its training are in numbers c: which encoding, ansatz, observables and optimizer, re-uploading or
not, and the logarithms of qubits, layers and parameters. ℓ is the median distance of candidates.

The same law with a larger λ takes noise out of measured skills: `smoothed_skills`.
"""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from qstore_ray.advise.training_plan import model_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qstore_ray.advise.candidates import Candidate
    from qstore_ray.types import FloatArray

RIDGE = 0.03
SMOOTHING = 0.3
"""λ of a model that was not measured, and of those that were."""

_COLUMNS, _CLASSES = 16, 3
"""The data that parameters of candidates are counted on."""

_NAMES: dict[str, tuple[float, tuple[str, ...]]] = {
    "encoding": (
        1.0, ("angle", "dense_angle", "amplitude", "iqp", "zz", "hamiltonian", "basis")
    ),
    "ansatz": (
        0.7,
        (
            "hardware_efficient", "real_amplitudes", "efficient_su2", "strongly_entangling",
            "basic", "qcnn",
        ),
    ),
    "observables": (0.7, ("z", "z+zz", "x+y+z")),
    "optimizer": (0.5, ("adam", "adamw", "rmsprop", "sgd", "spsa", "qng")),
}  # fmt: skip
"""Names that the table has, and how far apart two of them are (less a factor √2)."""


class Configuration(NamedTuple):
    """A circuit and its training, by what matters for its skill."""

    encoding: str
    ansatz: str
    observables: str
    optimizer: str
    reuploading: bool
    n_qubits: int
    layers: int
    n_parameters: int

    def outside(self) -> list[str]:
        """What of it the table does not have, as words; empty if it is within."""
        unknown = [
            f"{name} {getattr(self, name)}"
            for name, (_, known) in _NAMES.items()
            if getattr(self, name) not in known
        ]
        if not MOST_QUBITS >= self.n_qubits >= FEWEST_QUBITS:
            unknown.append(f"{self.n_qubits} qubits")
        if self.layers > MOST_LAYERS:
            unknown.append(f"{self.layers} layers")
        return unknown

    def numbers(self) -> FloatArray:
        """The configuration as a vector."""
        one_hot = [
            weight * (getattr(self, name) == known)
            for name, (weight, names) in _NAMES.items()
            for known in names
        ]
        sizes = [
            float(self.reuploading),
            math.log(self.n_qubits),
            0.5 * math.log(self.layers),
            0.5 * math.log(self.n_parameters),
        ]
        return np.array([*one_hot, *sizes])


FEWEST_QUBITS, MOST_QUBITS, MOST_LAYERS = 2, 12, 8
"""The table has 2 to 10 qubits and 6 layers; two more is not yet far from it."""


@cache
def configuration_of(candidate: Candidate) -> Configuration:
    """The configuration of a candidate of the table."""
    return Configuration(
        encoding=candidate.encoding,
        ansatz=candidate.ansatz,
        observables=candidate.observables,
        optimizer=candidate.optimizer,
        reuploading=candidate.reuploading,
        n_qubits=candidate.n_qubits,
        layers=candidate.layers,
        n_parameters=model_of(candidate, _COLUMNS, _CLASSES).n_parameters,
    )


def skill_of(
    asked: Configuration, known: Sequence[Configuration], skills: FloatArray
) -> FloatArray:
    """The skill of a configuration from those (C,) or (Q, C) of the known ones."""
    rows = np.array([each.numbers() for each in known])
    kernel, length = _kernel(rows)
    nearest = np.sqrt(((rows - asked.numbers()) ** 2).sum(axis=1))
    alike = np.exp(-(nearest**2) / (2.0 * length**2))
    weights = np.linalg.solve(kernel + RIDGE * np.eye(len(kernel)), alike)
    mean = skills.mean(axis=-1)
    found: FloatArray = mean + (skills - np.expand_dims(mean, -1)) @ weights
    return found


def smoothed_skills(
    skills: FloatArray, known: Sequence[Configuration], ridge: float = SMOOTHING
) -> FloatArray:
    """Measured skills (D, C), each drawn towards those of models like it on the same data.

    A skill is measured on some dozens of rows, so the best of many is partly luck; models that are
    alike do not share it.
    """
    kernel, _ = _kernel(np.array([each.numbers() for each in known]))
    mean = skills.mean(axis=1, keepdims=True)
    weights = np.linalg.solve(kernel + ridge * np.eye(len(kernel)), kernel)
    found: FloatArray = mean + (skills - mean) @ weights
    return found


def _kernel(rows: FloatArray) -> tuple[FloatArray, float]:
    """Likeness (C, C) of configurations, and ℓ."""
    apart = np.sqrt(((rows[:, None] - rows[None]) ** 2).sum(axis=2))
    length = float(np.median(apart[np.triu_indices(len(apart), 1)]))
    kernel: FloatArray = np.exp(-(apart**2) / (2.0 * length**2))
    return kernel, length

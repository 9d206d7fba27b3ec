"""Shift rules: the derivative by a gate's angle, from values at shifted angles.

With another angle of one gate, an expectation value is a Fourier sum with few frequencies. If they
are s, 2s, …, Rs, then (Wierichs et al. 2022, arXiv:2107.12390, equation 12)

    ∂f/∂θ = s Σ_μ (−1)^(μ−1) / (4R sin²(x_μ/2)) · f(θ + x_μ/s),   x_μ = (2μ − 1)π/(2R), μ = 1 … 2R

A rotation has R = 1 and s = 1. A controlled rotation is several rotations by half its angle: it has
s = ½, and R is their number. The rule holds also if a device runs these parts with noise between
them, which has no angle.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from qstore_ray.circuits.template import Angle, Op, Template, param

_HALF_ANGLES = {"crx": 2, "cry": 2, "crz": 2, "cp": 3}


class ShiftTerm(NamedTuple):
    """A summand of a rule: coefficient · f(θ + by)."""

    by: float
    coefficient: float


class ShiftedGates(NamedTuple):
    """A circuit with a parameter of its own for each of G angles.

    Attributes:
        angles: what they were. rules: how each is differentiated.
    """

    template: Template
    angles: tuple[Angle, ...]
    rules: tuple[tuple[ShiftTerm, ...], ...]


@lru_cache(maxsize=32)
def shift_rule(gate: str) -> tuple[ShiftTerm, ...]:
    """The rule of a gate's angles, in radians."""
    parts = _HALF_ANGLES.get(gate, 1)
    scale = 0.5 if gate in _HALF_ANGLES else 1.0
    places = (2 * np.arange(1, 2 * parts + 1) - 1) * np.pi / (2 * parts)
    signs = (-1.0) ** np.arange(2 * parts)
    coefficients = scale * signs / (4 * parts * np.sin(places / 2) ** 2)
    # The farther half is as near from the other side: f has the period 2π/s.
    shifts = np.where(places > np.pi, places - 2 * np.pi, places) / scale
    return tuple(map(ShiftTerm, shifts.tolist(), coefficients.tolist()))


@lru_cache(maxsize=64)
def shifted_gates(template: Template, *, rows: bool = False) -> ShiftedGates:
    """The circuit's own gates, each angle that is differentiated a parameter of its own.

    Args:
        rows: also angles that come from a row alone.
    """
    ops: list[Op] = []
    angles: list[Angle] = []
    rules: list[tuple[ShiftTerm, ...]] = []
    for op in template.ops:
        own = []
        for angle in op.angles:
            if angle.depends_on("param") or (rows and angle.terms):
                own.append(param(len(angles)))
                angles.append(angle)
                rules.append(shift_rule(op.gate))
            else:
                own.append(angle)
        ops.append(op._replace(angles=tuple(own)))
    shifted = Template(
        template.n_qubits, tuple(ops), template.n_rows, len(angles), template.initial
    )
    return ShiftedGates(shifted, tuple(angles), tuple(rules))

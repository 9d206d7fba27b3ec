"""Expectations by Pauli propagation: a simulation that never holds the state.

In the Heisenberg picture an observable moves backwards through the circuit as a weighted sum of
Pauli strings. A rotation exp(−iθQ/2) leaves a string P that commutes with Q alone, and splits
another one:

    P  →  cos θ · P + sin θ · iQP

Strings whose weight in the sum is small are dropped after each rotation. At the end only strings
without X and Y have an expectation in |0…0⟩, and it is 1. If few strings are ever left and the
value is right nevertheless, the circuit is easy to simulate, however many qubits it has
(Rudolph, Jones, Teng, Angrisani & Holmes, arXiv:2505.21606).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from qstore_ray.simulate.compile.rotations import Rotation, Term, odd

if TYPE_CHECKING:
    from qstore_ray.types import FloatArray

CUT = 1e-3
"""The least absolute weight of a string that is kept."""

MOST = 4_096
"""The most strings that are followed; beyond this the circuit is not called easy."""


class PauliPaths(NamedTuple):
    """The result for one row of angles.

    Attributes:
        values: of the observables, shape (O,); None if more than `MOST` strings were left.
        strings: the largest number that was left after a rotation.
    """

    values: FloatArray | None
    strings: int


def pauli_paths(
    rotations: Sequence[Rotation],
    terms: Sequence[Term],
    slots: FloatArray,
    count: int,
    *,
    cut: float = CUT,
    most: int = MOST,
) -> PauliPaths:
    """The expectations of `count` observables in a circuit that begins in |0…0⟩.

    Args:
        rotations, terms: see `pauli_rotations`.
        slots: the row's angles and the parameters, shape (A + P,).
        cut: strings of a smaller weight are dropped; 0 keeps all, and the values are exact.
    """
    turns = [
        (r.x, r.z, r.angle.offset + sum(slots[s] * scale for s, scale in r.angle.terms))
        for r in rotations
    ]
    values = np.zeros(count)
    largest = 0
    for index in range(count):
        sums: dict[tuple[int, int], float] = {}
        for term in terms:
            if term.observable == index:
                string = (term.x, term.z)
                sums[string] = sums.get(string, 0.0) + term.coefficient
        for x, z, angle in reversed(turns):
            sums = _through(sums, x, z, angle, cut)
            largest = max(largest, len(sums))
            if largest > most:
                return PauliPaths(None, largest)
        values[index] = sum(weight for (x, _), weight in sums.items() if not x)
    return PauliPaths(values, largest)


def _through(
    sums: dict[tuple[int, int], float], x: int, z: int, angle: float, cut: float
) -> dict[tuple[int, int], float]:
    """The sum before a rotation by `angle` about the string (x, z)."""
    cosine, sine = math.cos(angle), math.sin(angle)
    found: dict[tuple[int, int], float] = {}
    own = (x & z).bit_count() % 2  # the power of i in a rotation's string
    for string, weight in sums.items():
        px, pz = string
        if odd(x & pz) == odd(z & px):
            found[string] = found.get(string, 0.0) + weight
            continue
        found[string] = found.get(string, 0.0) + cosine * weight
        qx, qz = px ^ x, pz ^ z
        # i · Q · P in powers of i: one for each Y, and (−1) for each Z of Q that passes an X of P
        power = 1 + own + (px & pz).bit_count() - (qx & qz).bit_count() + 2 * (z & px).bit_count()
        turned = sine * weight if power % 4 == 0 else -sine * weight
        found[qx, qz] = found.get((qx, qz), 0.0) + turned
    return {string: weight for string, weight in found.items() if abs(weight) > cut}

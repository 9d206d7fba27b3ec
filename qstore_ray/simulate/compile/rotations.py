"""Pauli rotations and strings: what a circuit is while it is compiled.

A rotation is kept as two bit masks: `P(x, z) = i^(x·z mod 2) X^x Z^z`, X^x|j⟩ = |j ⊕ x⟩ and
Z^z|j⟩ = (−1)^|j∧z| |j⟩. Two Pauli strings either commute or anticommute, which is one parity of
bits (`commute`): so all that a compiler wants to know, what may move past what, is cheap and exact.
`frame.py` makes a circuit of them, `passes.py` moves and gathers them.
"""

from __future__ import annotations

from typing import NamedTuple


class AngleSum(NamedTuple):
    """`offset + Σ scale · slot` in radians; the row's A slots come first, then the P parameters."""

    offset: float
    terms: tuple[tuple[int, float], ...] = ()

    def scaled(self, factor: float) -> AngleSum:
        """`factor` times this angle."""
        return AngleSum(self.offset * factor, tuple((s, c * factor) for s, c in self.terms))

    def plus(self, other: AngleSum) -> AngleSum:
        """The sum of two angles; slots that cancel are left out."""
        scales = dict(self.terms)
        for slot, scale in other.terms:
            scales[slot] = scales.get(slot, 0.0) + scale
        terms = tuple((slot, scale) for slot, scale in sorted(scales.items()) if scale)
        return AngleSum(self.offset + other.offset, terms)


class Rotation(NamedTuple):
    """exp(−iθ P(x, z)/2)."""

    x: int
    z: int
    angle: AngleSum


class Term(NamedTuple):
    """coefficient · i^power X^x Z^z, one summand of observable number `observable`."""

    x: int
    z: int
    power: int
    observable: int
    coefficient: float


def odd(mask: int) -> bool:
    """Whether an odd number of bits is set."""
    return mask.bit_count() % 2 == 1


def commute(x1: int, z1: int, x2: int, z2: int) -> bool:
    """Whether the Pauli strings (x1, z1) and (x2, z2) commute."""
    return odd(x1 & z2) == odd(x2 & z1)

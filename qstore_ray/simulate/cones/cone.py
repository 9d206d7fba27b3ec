"""The light cone of an observable: the rotations that can change it, and the qubits they act on.

In the Heisenberg picture an observable moves backwards through the circuit. A rotation by a Pauli
string that commutes with everything that it meets leaves it alone; another one adds its string.
`frame.py` has moved CX, SWAP and Pauli gates out of the way before, so the qubits are those of the
frame at the start: never more than the gates behind the observable touch, often fewer. A qubit that
no string of the cone flips stays in |0⟩, where Z is 1: it does not count.

A set of rotations, and a set of qubits, is an integer with a bit for each member.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from qstore_ray.simulate.compile.rotations import Rotation, Term, commute


class LightCone(NamedTuple):
    """What some observables see of a circuit: sets of rotations and of flipped qubits."""

    rotations: int
    qubits: int

    def joined(self, other: LightCone) -> LightCone:
        """The cone of both together."""
        return LightCone(self.rotations | other.rotations, self.qubits | other.qubits)

    @property
    def width(self) -> int:
        """The number of qubits."""
        return self.qubits.bit_count()


def light_cones(
    rotations: Sequence[Rotation], terms: Sequence[Term], count: int
) -> list[LightCone]:
    """The cone of each of `count` observables, whose summands `terms` are seen after all rotations.

    The cone of several observables is the union of theirs: a rotation belongs to it if a chain of
    later ones, each of which anticommutes with the next, leads from it to one of their summands.
    """
    supports = [rotation.x | rotation.z for rotation in rotations]
    strings: list[set[tuple[int, int]]] = [set() for _ in range(count)]
    for term in terms:
        strings[term.observable].add((term.x, term.z))
    return [_cone(rotations, supports, seen) for seen in strings]


def _cone(
    rotations: Sequence[Rotation], supports: list[int], seen: set[tuple[int, int]]
) -> LightCone:
    kept = qubits = touched = 0
    for x, z in seen:
        qubits |= x
        touched |= x | z
    for g in range(len(rotations) - 1, -1, -1):
        if not supports[g] & touched:
            continue
        x, z, _ = rotations[g]
        if all(commute(x, z, *other) for other in seen):
            continue
        kept |= 1 << g
        seen.add((x, z))
        qubits |= x
        touched |= supports[g]
    return LightCone(kept, qubits)

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

from qstore_ray.simulate.compile.rotations import Rotation, Term


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
    placed = [(members_of(rotation.x), members_of(rotation.z)) for rotation in rotations]
    strings: list[set[tuple[int, int]]] = [set() for _ in range(count)]
    for term in terms:
        strings[term.observable].add((term.x, term.z))
    return [_cone(rotations, placed, seen) for seen in strings]


def _cone(
    rotations: Sequence[Rotation],
    placed: Sequence[tuple[Sequence[int], Sequence[int]]],
    seen: set[tuple[int, int]],
) -> LightCone:
    """One cone: its strings are bits, and a qubit has the sets of those with an X and with a Z.

    A string anticommutes with those that differ from it on an odd number of qubits: the exclusive
    or of a few sets, however large.
    """
    kept = qubits = 0
    with_x: dict[int, int] = {}
    with_z: dict[int, int] = {}
    bit = 1
    for x, z in seen:
        _add(bit, members_of(x), members_of(z), with_x, with_z)
        qubits |= x
        bit <<= 1
    for g in range(len(rotations) - 1, -1, -1):
        flipped, phased = placed[g]
        differing = 0
        for qubit in flipped:
            differing ^= with_z.get(qubit, 0)
        for qubit in phased:
            differing ^= with_x.get(qubit, 0)
        if differing:
            kept |= 1 << g
            qubits |= rotations[g].x
            _add(bit, flipped, phased, with_x, with_z)
            bit <<= 1
    return LightCone(kept, qubits)


def _add(
    bit: int,
    flipped: Sequence[int],
    phased: Sequence[int],
    with_x: dict[int, int],
    with_z: dict[int, int],
) -> None:
    for qubit in flipped:
        with_x[qubit] = with_x.get(qubit, 0) | bit
    for qubit in phased:
        with_z[qubit] = with_z.get(qubit, 0) | bit


def members_of(members: int) -> list[int]:
    """The members of a set, ascending."""
    found = []
    while members:
        lowest = members & -members
        found.append(lowest.bit_length() - 1)
        members ^= lowest
    return found

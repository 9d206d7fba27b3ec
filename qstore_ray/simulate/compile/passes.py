"""What is left out, moved and gathered before a circuit runs: one small function each.

All passes work on Pauli rotations (`rotations.py`) and use one fact: rotations by commuting Pauli
strings may change places, and a rotation that commutes with all that follows has no effect.

    light_cone      leaves out rotations that no observable can see
    product_start   splits off the rotations of |0…0⟩ that keep it a product of single qubits
    real_rotations  turns X-like rotations into real Y-like ones between two fixed phases
    layers          gathers rotations that commute: phases into one vector, Y-like ones side by side

Each keeps every expectation value and gradient, which tests/unit/simulate/test_program.py holds
them to.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from qstore_ray.simulate.compile.rotations import AngleSum, Rotation, Term, commute, odd

_TURN = 2 * math.pi


def light_cone(rotations: list[Rotation], terms: list[Term]) -> list[Rotation]:
    """Without the rotations that commute with all that comes after them and is measured."""
    seen = {(term.x, term.z) for term in terms}
    kept = []
    for rotation in reversed(rotations):
        x, z = rotation.x, rotation.z
        if all(commute(x, z, *other) for other in seen):
            continue
        kept.append(rotation)
        seen.add((x, z))
    return kept[::-1]


def product_start(
    rotations: list[Rotation], n_qubits: int
) -> tuple[list[list[Rotation]], list[Rotation]]:
    """The rotations of each single qubit that may act first on |0…0⟩, and the others in order.

    While a qubit is still in |0⟩, Z on it is 1 and drops out of every string.
    """
    leading: list[list[Rotation]] = [[] for _ in range(n_qubits)]
    touched = 0
    rest: list[Rotation] = []
    blocking: set[tuple[int, int]] = set()
    for x, full_z, angle in rotations:
        touched |= x
        z = full_z & touched
        if not x | z:
            continue
        mask = x | z
        if mask.bit_count() == 1 and all(commute(x, z, *other) for other in blocking):
            _append_merged(leading[mask.bit_length() - 1], Rotation(x, z, angle))
        else:
            rest.append(Rotation(x, z, angle))
            blocking.add((x, z))
    for run in leading:
        while run and not run[0].x:  # what was before this phase of |0⟩ has cancelled
            del run[0]
    return leading, rest


def _append_merged(run: list[Rotation], rotation: Rotation) -> None:
    if run and run[-1][:2] == rotation[:2]:
        rotation = rotation._replace(angle=run.pop().angle.plus(rotation.angle))
    if not _nothing(rotation.angle):
        run.append(rotation)


def real_rotations(rotations: list[Rotation]) -> list[Rotation]:
    """With every rotation real (x·z odd) or a phase (x = 0).

    An X-like one (x·z even) is a Y-like one between phases: with Z' anticommuting with X^x,
    exp(−iθ X^x Z^z/2) = V exp(−iθ P(x, z ⊕ z')/2) V† and V = exp(iπ/4 Z').
    """
    found = []
    for rotation in rotations:
        x, z, angle = rotation
        if not x or odd(x & z):
            found.append(rotation)
            continue
        phase = 1 << (x.bit_length() - 1)
        found += [
            Rotation(0, phase, AngleSum(math.pi / 2)),
            Rotation(x, z ^ phase, angle),
            Rotation(0, phase, AngleSum(-math.pi / 2)),
        ]
    return found


@dataclass
class Layer:
    """Rotations that commute with each other: `phases`, or `turns` in different directions."""

    kind: Literal["phases", "turns"]
    rotations: dict[tuple[int, int], AngleSum] = field(default_factory=dict)

    def takes(self, x: int, z: int) -> bool:
        """Whether a rotation may join: in turns, no direction may flip another's role."""
        if (self.kind == "phases") != (x == 0):
            return False
        return (x, z) in self.rotations or not any(
            odd(x & other_z) or odd(other_x & z) for other_x, other_z in self.rotations
        )

    def commutes(self, x: int, z: int) -> bool:
        """Whether a rotation may move past this layer."""
        return all(commute(x, z, *other) for other in self.rotations)

    def add(self, rotation: Rotation) -> None:
        """Take in a rotation; angles about the same string add up."""
        key = (rotation.x, rotation.z)
        before = self.rotations.get(key, AngleSum(0.0))
        self.rotations[key] = before.plus(rotation.angle)


def layers(rotations: list[Rotation], whole: float = _TURN) -> list[Layer]:
    """The rotations gathered into layers, each as early as it can go.

    Args:
        whole: constant angles that are a multiple of it are left out: 2π if a factor −1 of the
            state does not matter, else 4π.
    """
    found: list[Layer] = []
    for rotation in rotations:
        _place(rotation, found)
    for layer in found:
        for key in [key for key, angle in layer.rotations.items() if _nothing(angle, whole)]:
            del layer.rotations[key]
    kept = [layer for layer in found if layer.rotations]
    if len(kept) == len(found):
        return found
    # Without an empty layer its neighbours may come together.
    again = [Rotation(*key, angle) for layer in kept for key, angle in layer.rotations.items()]
    return layers(again, whole)


def _place(rotation: Rotation, found: list[Layer]) -> None:
    x, z = rotation.x, rotation.z
    best = None
    for layer in reversed(found):
        if layer.takes(x, z):
            best = layer
        if not layer.commutes(x, z):
            break
    if best is None:
        best = Layer("turns" if x else "phases")
        found.append(best)
    best.add(rotation)


def _nothing(angle: AngleSum, whole: float = _TURN) -> bool:
    """Whether the angle is a multiple of `whole` for all values of the slots.

    A rotation by 2π is −1, a rotation by 4π is the identity.
    """
    return not angle.terms and abs(math.remainder(angle.offset, whole)) < 1e-15

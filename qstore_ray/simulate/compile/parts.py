"""Parts of a circuit that meet late: each runs in a state of its own qubits.

Qubits that start in a product state stay one until a rotation acts on both sides. What comes before
costs 2^m for the m qubits of its part, and not 2^n. A `QubitPart` is a range of qubits with the
rotations that act on it while it is alone; it is a product of qubits at first, or two smaller parts
that met. A convolutional circuit gains most: its pairs meet in fours, its fours in eights.
"""

from __future__ import annotations

from dataclasses import dataclass

from qstore_ray.simulate.compile.passes import Layer, layers, real_rotations
from qstore_ray.simulate.compile.rotations import Rotation, commute

WORTH = 0.7
"""Parts are taken if they leave at most this much of the work; each costs some memory traffic."""
NARROWEST, SMALLEST = 8, 3
"""Qubits of what is worth a cut, and of a part at least: a register holds up to 2^3 amplitudes."""


@dataclass
class QubitPart:
    """Qubits `first` to `first + n_qubits − 1`, and the rotations after its own parts met.

    Attributes:
        own: none, or two parts that make up the range.
    """

    first: int
    n_qubits: int
    rotations: list[Rotation]
    own: tuple[QubitPart, ...] = ()

    def in_order(self) -> list[QubitPart]:
        """Its parts before it, each after the parts that it is made of."""
        return [part for own in self.own for part in own.in_order()] + [self]


def split(rotations: list[Rotation], first: int, n_qubits: int) -> QubitPart:
    """The part of these qubits, cut in two, and these again, where that saves work.

    Args:
        rotations: in order, after the product state of the start.
    """
    cuts = range(first + SMALLEST, first + n_qubits - SMALLEST + 1)
    if n_qubits < NARROWEST:
        cuts = range(0)
    found = [_halves(rotations, cut) for cut in cuts]
    best = min(found, key=lambda halves: _size(halves, n_qubits), default=None)
    if best is not None:
        work = _work(best.left, best.cut - first) + _work(best.right, first + n_qubits - best.cut)
        work += _work(best.rest, n_qubits)
        if work <= WORTH * _work(rotations, n_qubits):
            own = (
                split(best.left, first, best.cut - first),
                split(best.right, best.cut, first + n_qubits - best.cut),
            )
            return QubitPart(first, n_qubits, best.rest, own)
    return QubitPart(first, n_qubits, rotations)


@dataclass
class _Halves:
    cut: int
    left: list[Rotation]
    right: list[Rotation]
    rest: list[Rotation]


def _halves(rotations: list[Rotation], cut: int) -> _Halves:
    """Which rotations may act before the qubits below `cut` meet those from it on."""
    below = (1 << cut) - 1
    found = _Halves(cut, [], [], [])
    blocking: dict[tuple[int, int], None] = {}
    for rotation in rotations:
        x, z, _ = rotation
        mask = x | z
        side = found.left if not mask & ~below else found.right if not mask & below else None
        if side is None or not all(commute(x, z, *other) for other in blocking):
            found.rest.append(rotation)
            blocking[x, z] = None
        else:
            side.append(rotation)
    return found


def _size(halves: _Halves, n_qubits: int) -> int:
    return len(halves.rest) << n_qubits


def _work(rotations: list[Rotation], n_qubits: int) -> int:
    """Passes over amplitudes: three turns a pass, and a layer of phases one."""
    found = layers(real_rotations(rotations))
    return sum(_passes(layer) for layer in found) << n_qubits


def _passes(layer: Layer) -> int:
    return 1 if layer.kind == "phases" else -(-len(layer.rotations) // 3)

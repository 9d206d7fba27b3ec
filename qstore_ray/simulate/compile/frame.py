"""From a circuit to Pauli rotations, with everything else taken out of the way.

Every gate is a rotation exp(−iθP/2) by a Pauli string P, or it only renames things: CX and SWAP
permute the basis states, X, Y and Z flip signs. What renames is never executed. It is kept in a
`PauliFrame` that says which Pauli strings Z_q and X_q of each qubit have become, and later
rotations and the observables are written in that frame:

    RY(a) on 1, CX(0, 1), RZ(b) on 1      →      exp(−ia Y1/2), exp(−ib Z0Z1/2)

Every Clifford gate can go into the frame: a fixed turn by a multiple of π/2 sends strings to
strings. That pays in circuits compiled for a device, where most gates are such turns (H, S, SX,
CZ). In others it makes strings that share no layer, so the compiler tries both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from qstore_ray.circuits.lower import lower
from qstore_ray.circuits.observable import Observable
from qstore_ray.circuits.template import Angle, Op, Template
from qstore_ray.simulate.compile.rotations import AngleSum, Rotation, Term, odd


class PauliImage(NamedTuple):
    """i^power X^x Z^z."""

    x: int
    z: int
    power: int

    def times(self, other: PauliImage) -> PauliImage:
        """The product, this one on the left."""
        crossed = 2 * (self.z & other.x).bit_count()  # Z^z X^x = (−1)^|z∧x| X^x Z^z
        return PauliImage(
            self.x ^ other.x, self.z ^ other.z, (self.power + other.power + crossed) % 4
        )


@dataclass
class PauliFrame:
    """What X_q and Z_q of each qubit are after the gates so far.

    Attributes:
        x, z: their images.
        quarter_turns: whether fixed turns by multiples of π/2 change the frame as well. Otherwise
            they are rotations like others, and the images of X_q are strings of X, of Z_q of Z.
    """

    x: list[PauliImage]
    z: list[PauliImage]
    quarter_turns: bool = False

    @classmethod
    def at_start(cls, n_qubits: int, quarter_turns: bool = False) -> PauliFrame:
        """The frame before the first gate, in which every string is itself."""
        bits = [1 << qubit for qubit in range(n_qubits)]
        return cls(
            [PauliImage(bit, 0, 0) for bit in bits],
            [PauliImage(0, bit, 0) for bit in bits],
            quarter_turns,
        )

    def through(self, op: Op, n_rows: int) -> list[Rotation]:
        """Move past a lowered gate: its rotations in this frame, and the frame after it."""
        if op.gate in ("cx", "swap"):
            getattr(self, op.gate)(*op.qubits)
            return []
        if op.gate in ("x", "y", "z"):
            self.pauli(op.gate, op.qubits[0])
            return []
        if op.gate == "h":  # H = RY(π/2) Z
            self.pauli("z", op.qubits[0])
        found = []
        for x, z, sign, angle in _generators(op, n_rows):
            quarters = _quarters(angle) if self.quarter_turns else None
            if quarters is None:
                to_x, to_z, flip = self.string(x, z)
                found.append(Rotation(to_x, to_z, angle.scaled(sign * flip)))
            else:
                self.turn(x, z, sign * quarters, op.qubits)
        return found

    def seen(self, observables: Iterable[Observable]) -> list[Term]:
        """The summands of observables that are measured now."""
        found = []
        for index, observable in enumerate(observables):
            for term in observable.terms:
                power = (term.x & term.z).bit_count()
                x, z, to_power = self.image(term.x, term.z, power)
                own = (x & z).bit_count()
                sign = 1 - (to_power - own) % 4  # the power differs by 0 or 2
                found.append(Term(x, z, own % 4, index, sign * term.coefficient))
        return found

    def cx(self, control: int, target: int) -> None:
        """Move past a CX."""
        self.z[target] = self.z[control].times(self.z[target])
        self.x[control] = self.x[control].times(self.x[target])

    def swap(self, a: int, b: int) -> None:
        """Move past a SWAP."""
        for column in (self.z, self.x):
            column[a], column[b] = column[b], column[a]

    def pauli(self, name: str, qubit: int) -> None:
        """Move past X, Y or Z."""
        if name in "xy":
            self.z[qubit] = self.z[qubit].times(_MINUS)
        if name in "yz":
            self.x[qubit] = self.x[qubit].times(_MINUS)

    def turn(self, x: int, z: int, quarters: int, qubits: tuple[int, ...]) -> None:
        """Move past exp(−iφ P(x, z)/2), φ = quarters · π/2, which acts on `qubits`.

        A string Q that anticommutes with P becomes (cos φ + i sin φ P) Q.
        """
        factor = PauliImage(0, 0, 0)
        if quarters % 2:
            own = self.image(x, z, (x & z).bit_count() % 2)
            factor = own._replace(power=(own.power + quarters) % 4)
        elif quarters % 4:
            factor = _MINUS
        for qubit in qubits:
            bit = 1 << qubit
            if z & bit:
                self.x[qubit] = factor.times(self.x[qubit])
            if x & bit:
                self.z[qubit] = factor.times(self.z[qubit])

    def image(self, x: int, z: int, power: int = 0) -> PauliImage:
        """i^power X^x Z^z in this frame."""
        found = PauliImage(0, 0, power % 4)
        for mask, images in ((x, self.x), (z, self.z)):
            for qubit, of_qubit in enumerate(images):
                if mask >> qubit & 1:
                    found = found.times(of_qubit)
        return found

    def string(self, x: int, z: int) -> tuple[int, int, int]:
        """P(x, z) in this frame: masks and sign."""
        to_x, to_z, power = self.image(x, z, odd(x & z))
        return to_x, to_z, 1 - (power - odd(to_x & to_z)) % 4


_MINUS = PauliImage(0, 0, 2)


def _quarters(angle: AngleSum) -> int | None:
    """The angle in quarter turns, if it is a fixed whole number of them."""
    if angle.terms or abs(math.remainder(angle.offset, _QUARTER)) > _ROUNDING:
        return None
    return round(angle.offset / _QUARTER)


def pauli_rotations(
    template: Template, observables: Iterable[Observable], quarter_turns: bool = False
) -> tuple[list[Rotation], list[Term]]:
    """The rotations of a circuit in order, and its observables as seen after them.

    Args:
        quarter_turns: whether H, S, SX, CZ and other fixed turns by multiples of π/2 are taken into
            the frame.
    """
    frame = PauliFrame.at_start(template.n_qubits, quarter_turns)
    rotations: list[Rotation] = []
    for op in lower(template).ops:
        rotations += frame.through(op, template.n_rows)
    return rotations, frame.seen(observables)


_Generator = tuple[int, int, int, AngleSum]  # X^x Z^z, a sign, and the angle
_QUARTER = math.pi / 2
_ROUNDING = 4e-15
"""A fixed angle this near to a quarter turn is one: sums of multiples of π/2 are rounded."""
_FIXED_ANGLES = {
    "h": ("ry", _QUARTER),
    "s": ("rz", _QUARTER),
    "sdg": ("rz", -_QUARTER),
    "t": ("rz", _QUARTER / 2),
    "tdg": ("rz", -_QUARTER / 2),
    "sx": ("rx", _QUARTER),
    "sxdg": ("rx", -_QUARTER),
}
# X^x Z^z of each generator in masks over all its qubits (1) or none (0), and its sign: YY = −XXZZ.
_MASKS: dict[str, Callable[[int], tuple[int, int, int]]] = {
    "rx": lambda m: (m, 0, 1),
    "ry": lambda m: (m, m, 1),
    "rz": lambda m: (0, m, 1),
    "rxx": lambda m: (m, 0, 1),
    "ryy": lambda m: (m, m, -1),
    "rzz": lambda m: (0, m, 1),
}


def _generators(op: Op, n_rows: int) -> list[_Generator]:
    """The rotations that a lowered gate is made of."""
    if op.gate == "cz":  # exp(iπ/4 (1 − Za)(1 − Zb))
        a, b = (1 << qubit for qubit in op.qubits)
        quarter = AngleSum(_QUARTER)
        return [(0, a, 1, quarter), (0, b, 1, quarter), (0, a | b, -1, quarter)]
    name, angle = op.gate, AngleSum(0.0)
    if name in _FIXED_ANGLES:
        name, offset = _FIXED_ANGLES[name]
        angle = AngleSum(offset)
    else:
        angle = angle_sum(op.angles[0], n_rows)
    mask = sum(1 << qubit for qubit in op.qubits)
    return [(*_MASKS[name](mask), angle)]


def angle_sum(angle: Angle, n_rows: int) -> AngleSum:
    """A template's angle over the row's A slots and, after them, the parameters."""
    first = {"row": 0, "param": n_rows}
    terms = ((first[term.kind] + term.slot, term.scale) for term in angle.terms if term.scale)
    return AngleSum(angle.offset, tuple(terms))

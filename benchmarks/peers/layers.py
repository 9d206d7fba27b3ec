"""A circuit rewritten in two kinds of layers, for the peer that an expert writes by hand.

    turn    real rotations of single qubits (RY, H), all qubits at once
    phase   everything diagonal (RZ, P, CZ, CP, CRZ, RZZ) and every CX, X and swap: together they
            multiply each basis state by a phase and send it to another basis state

Each gate goes into the first layer in which nothing stands in its way; RX, U, CRX and CRY are first
written in these gates. A phase is e^{iφ(j)} with φ(j) = constant(j) + Σ coefficient · angle ·
(−1)^{parity of mask ∧ j}. Global phases are dropped, and so is the last phase layer: values of Z do
not see phases, and its move of basis states is applied to the measured products instead.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from protocol import Angle, Case, Op, Unsupported

# φ of a gate as factors of its angle, each with the gate's qubits whose Z it multiplies.
TERMS = {
    "rz": ((-0.5, 0),),
    "p": ((-0.5, 0),),
    "rzz": ((-0.5, 0, 1),),
    "crz": ((-0.25, 1), (0.25, 0, 1)),
    "cp": ((-0.25, 0), (-0.25, 1), (0.25, 0, 1)),
}
DIAGONAL = {*TERMS, "z", "cz", "cx", "x", "swap"}


@dataclass
class Sum:
    """A sum of angles with factors."""

    terms: list[tuple[Angle, float]] = field(default_factory=list)
    constant: float = 0.0

    def matrix_row(self, kind: str, size: int) -> np.ndarray:
        """The coefficients (size,) of the slots of one kind."""
        out = np.zeros(size)
        for angle, factor in self.terms:
            if angle.kind == kind:
                out[angle.slot] += factor * angle.scale
        return out

    @property
    def offset(self) -> float:
        """What does not depend on any slot."""
        return self.constant + sum(factor * angle.offset for angle, factor in self.terms)


@dataclass
class Turn:
    """RY(angle), after Z where `flipped`: what any sequence of RY and H on one qubit comes to.

    H RY(θ) = RY(−θ) H, H H = 1 and H = RY(π/2) Z.
    """

    sum: Sum = field(default_factory=Sum)
    flipped: bool = False

    def add(self, op: Op) -> None:
        """Put RY or H behind what is there."""
        if op.gate == "ry":
            self.sum.terms.append((op.angles[0], 1.0))
            return
        self.sum.terms = [(angle, -factor) for angle, factor in self.sum.terms]
        self.sum.constant = math.pi / 2 - self.sum.constant
        self.flipped = not self.flipped


@dataclass
class Turns:
    """What turns each qubit."""

    gates: dict[int, Turn] = field(default_factory=dict)


@dataclass
class Phases:
    """Coefficients of angles by mask, constants, and where each basis state goes."""

    n_qubits: int
    terms: dict[tuple[Angle, int], float] = field(default_factory=dict)
    constant: np.ndarray | None = None
    masks: list[int] = field(default_factory=list)  # output bit q is a parity of input bits …
    flips: list[int] = field(default_factory=list)  # … turned round where flips[q] is 1

    def __post_init__(self) -> None:
        self.masks = [1 << q for q in range(self.n_qubits)]
        self.flips = [0] * self.n_qubits

    def add(self, op: Op) -> None:
        """Put the gate behind what is there."""
        a, b = op.qubits[0], op.qubits[-1]
        if op.gate in ("cx", "x", "swap"):
            self._move(op.gate, a, b)
        elif op.gate in ("z", "cz"):
            self._constant(math.pi * self._bit(a) * self._bit(b))
        else:
            for factor, *qubits in TERMS[op.gate]:
                self._term(op.angles[0], factor, *((a, b)[k] for k in qubits))

    def sources(self) -> np.ndarray | None:
        """For each output state the input state that it comes from; None if none moves."""
        size = 2**self.n_qubits
        target = sum(self._bit(q).astype(np.int64) << q for q in range(self.n_qubits))
        if (target == np.arange(size)).all():
            return None
        out = np.empty(size, dtype=np.int64)
        out[target] = np.arange(size)
        return out

    def _move(self, gate: str, a: int, b: int) -> None:
        for bits in (self.masks, self.flips):
            if gate == "cx":
                bits[b] ^= bits[a]
            elif gate == "swap":
                bits[a], bits[b] = bits[b], bits[a]
        self.flips[a] ^= gate == "x"

    def _bit(self, qubit: int) -> np.ndarray:
        states = np.arange(2**self.n_qubits)
        return np.bitwise_count(states & self.masks[qubit]) % 2 ^ self.flips[qubit]

    def _constant(self, phase: np.ndarray) -> None:
        self.constant = phase if self.constant is None else self.constant + phase

    def _term(self, angle: Angle, coefficient: float, *qubits: int) -> None:
        mask = flip = 0
        for q in qubits:
            mask ^= self.masks[q]
            flip ^= self.flips[q]
        if mask:
            key = (angle, mask)
            self.terms[key] = self.terms.get(key, 0.0) + coefficient * (-1) ** flip

    def before(self, mask: int) -> int:
        """The product of Z which, measured before this layer, is that of `mask` after it."""
        found = 0
        for q in range(self.n_qubits):
            if mask >> q & 1:
                found ^= self.masks[q]
                if self.flips[q]:
                    raise Unsupported("an X at the very end is not foreseen")
        return found


@dataclass
class Layered:
    """Where each qubit starts, the layers after it, and the masks of the measured products."""

    first: list[list[Sum]]  # from |0⟩ on: RY, RZ, RY, RZ, …, RY on each qubit before it is joined
    layers: list[Turns | Phases]
    masks: list[int]


def layered(case: Case) -> Layered:
    """The case's circuit in layers; even positions turn, odd ones are phases."""
    n = case.n_qubits
    plain = [found for op in case.ops for found in _lowered(op)]
    alone, rest = _split(plain, n) if case.amplitudes is None else ([], plain)
    first = [_alternating(ops) for ops in alone]
    layers: list[Turns | Phases] = []
    reached = [0] * n
    for op in rest:
        diagonal = op.gate in DIAGONAL
        at = max(reached[q] for q in op.qubits)
        at += at % 2 != diagonal
        while len(layers) <= at:
            layers.append(Phases(n) if len(layers) % 2 else Turns())
        layer = layers[at]
        if isinstance(layer, Phases):
            layer.add(op)
        else:
            layer.gates.setdefault(op.qubits[0], Turn()).add(op)
        for q in op.qubits:
            reached[q] = at
    masks = [sum(1 << q for q in qubits) for qubits in case.observables]
    if layers and isinstance(layers[-1], Phases):
        last = layers.pop()
        masks = [last.before(mask) for mask in masks]
    return Layered(first, layers, masks)


def _split(ops: list[Op], n: int) -> tuple[list[list[Op]], list[Op]]:
    """What acts on each qubit alone from |0⟩ on, up to its last real gate; and all the rest."""
    first: list[list[int]] = [[] for _ in range(n)]
    joined: set[int] = set()
    for position, op in enumerate(ops):
        if len(op.qubits) > 1:
            joined.update(op.qubits)
        elif op.qubits[0] not in joined:
            first[op.qubits[0]].append(position)
    for positions in first:
        while positions and ops[positions[-1]].gate in DIAGONAL:
            positions.pop()
    taken = {position for positions in first for position in positions}
    rest = [op for position, op in enumerate(ops) if position not in taken]
    return [[ops[position] for position in positions] for positions in first], rest


def _alternating(ops: list[Op]) -> list[Sum]:
    """RY, H, RZ, P and Z on |0⟩ as the angles of RY, RZ, RY, …, RY."""
    turns, phases = [Turn()], []
    for op in ops:
        if op.gate in ("ry", "h"):
            if len(turns) == len(phases):
                turns.append(Turn())
            turns[-1].add(op)
            continue
        if len(phases) < len(turns):
            phases.append(Sum())
        if op.gate == "z":
            phases[-1].constant += math.pi
        else:
            phases[-1].terms.append((op.angles[0], 1.0))
    out = [turns[0].sum]
    for phase, turn in zip(phases, turns[1:], strict=True):
        phase.constant += math.pi * turn.flipped
        out += [phase, turn.sum]
    return out


def _lowered(op: Op) -> list[Op]:
    """The gate in gates of the two kinds of layers, in the order in which they act."""
    if op.gate in DIAGONAL or op.gate in ("ry", "h"):
        return [op]
    last = op.qubits[-1:]
    if op.gate == "u":
        theta, phi, lam = op.angles
        order = (("rz", lam), ("ry", theta), ("rz", phi))
        return [Op(gate, op.qubits, (angle,)) for gate, angle in order]
    if op.gate in ("rx", "crx"):
        h = Op("h", last, ())
        return [h, Op(op.gate.replace("x", "z"), op.qubits, op.angles), h]
    raise Unsupported(f"no translation of {op.gate}")

"""How compiled kernels walk over the states: a program's layers cut into passes.

A pass reads and writes every amplitude once. A TURN pass does up to three rotations of one layer:
2^3 amplitudes at a time go through registers, and a layer of phases that follows is multiplied in
on the way out. (Six at a time through a buffer in L1 was tried: slower below 12 qubits, and no
faster above.) Which 2^3 amplitudes turn together is given by the directions x_g of the rotations;
which sets of them there are, by base vectors on which every role |j∧z_g| is even. Directions may be
anything that CX gates make of them, so the kernels never permute a state.

If a vector register holds amplitudes of one row (`lane_bits` > 0: amplitude j is in lane
j mod 2^lane_bits), a direction inside the lanes is a rotation WITHIN vectors, and directions
across vectors must stay independent when their lane bits are ignored.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from qstore_ray.simulate.compile.program import PHASES, Program
from qstore_ray.simulate.compile.rotations import odd

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from qstore_ray.types import IntArray

TURN, PHASE, SCALE = 0, 1, 2
"""Kinds of pass (column 0 of `PassSchedule.passes`)."""
ACROSS, WITHIN = 3, 3
"""Rotations that one TURN pass takes, across vectors and within them."""
UNSCALED = 48
"""Turns after which stored amplitudes, each turn up to √2 too large, are brought back to norm 1."""


@dataclass(frozen=True, eq=False)
class PassSchedule:
    """The passes of a program, for kernels with 2^lane_bits amplitudes in a vector.

    Attributes:
        passes: (passes, 11) kind, layer, rotations across and within vectors, first place in
            `order`, first place in `vectors`, number of base vectors, whether any of the vectors
            has lane bits, whether a rotation differs from row to row, layer of the phases that
            follow (−1: none), place of their table (−1: they are computed for each row).
        order: rotations of the TURN passes, one after the other.
        vectors: for each TURN pass its rotations' directions, then the base vectors.
        table_amplitudes: of all layers of phases that are the same for every row.
        edges: (parts + 1,) the first pass of each part.
        local_z: (G,) z masks over the qubits of the part.
        kept_vectors: directions of the kept qubits, then of what is beside them.
    """

    passes: IntArray
    order: IntArray
    vectors: NDArray[np.uint32]
    table_amplitudes: int
    edges: IntArray
    local_z: IntArray
    kept_vectors: NDArray[np.uint32]


@lru_cache(maxsize=128)
def schedule(program: Program, lane_bits: int, table_amplitudes: int) -> PassSchedule:
    """Cut the layers of `program` into passes.

    Args:
        lane_bits: a vector register holds 2^lane_bits amplitudes of a row.
        table_amplitudes: phases of more amplitudes are computed whenever they are needed.
    """
    found = _Passes(program, lane_bits, table_amplitudes)
    starts = [*program.parts[:, 2], len(program.layers)]
    edges = [0]
    for (qubit, n_qubits, *_), begin, end in zip(
        program.parts, starts[:-1], starts[1:], strict=True
    ):
        found.enter(int(qubit), int(n_qubits))
        for layer in range(begin, end):
            kind, first, last = (int(number) for number in program.layers[layer])
            found.see(first, last)
            if kind == PHASES:
                found.phases(layer, first, last)
            else:
                found.turns(layer, first, last)
        edges.append(len(found.passes))
    return PassSchedule(
        np.array(found.passes, np.int64).reshape(-1, 11),
        np.array(found.order, np.int64),
        np.array(found.vectors, np.uint32),
        found.tables,
        np.array(edges, np.int64),
        np.array(found.z, np.int64),
        np.array(_kept_vectors(program), np.uint32),
    )


@dataclass
class _Group:
    """Rotations of one TURN pass."""

    across: list[int] = field(default_factory=list)
    within: list[int] = field(default_factory=list)


class _Passes:
    """Collects passes in order."""

    def __init__(self, program: Program, lane_bits: int, table_amplitudes: int) -> None:
        self.x = [int(x) for x in program.x]
        self.z = [int(z) for z in program.z]
        self.by_row = program.by_row
        self.first_qubit, self.n_qubits = 0, program.n_qubits
        self.lane_bits = lane_bits
        self.lanes = 2**lane_bits - 1
        self.passes: list[list[int]] = []
        self.order: list[int] = []
        self.vectors: list[int] = []
        self.tables, self.most = 0, table_amplitudes
        self.unscaled = self.begin = 0

    def enter(self, first_qubit: int, n_qubits: int) -> None:
        """Begin a part, in a state of its own."""
        self.first_qubit, self.n_qubits = first_qubit, n_qubits
        self.unscaled, self.begin = 0, len(self.passes)

    def see(self, first: int, last: int) -> None:
        """Write the masks of rotations over the qubits of the part."""
        for g in range(first, last):
            self.x[g] >>= self.first_qubit
            self.z[g] >>= self.first_qubit

    def phases(self, layer: int, first: int, last: int) -> None:
        """Add a layer of phases, to the previous pass if that can hold it."""
        table = -1
        amplitudes = 1 << self.n_qubits
        if self.tables + amplitudes <= self.most and not self.by_row[first:last].any():
            table = self.tables
            self.tables += amplitudes
        if table >= 0 and len(self.passes) > self.begin and self.passes[-1][0] == TURN:
            self.passes[-1][9:] = [layer, table]
        else:
            self.passes.append([PHASE, layer, 0, 0, 0, 0, 0, 0, 0, layer, table])
        self.unscaled = 0

    def turns(self, layer: int, first: int, last: int) -> None:
        """A layer of turns, in as few passes as take them."""
        groups: list[_Group] = []
        for g in sorted(range(first, last), key=lambda g: bool(self.by_row[g])):
            for group in groups:
                if self._fits(group, g):
                    break
            else:
                group = _Group()
                groups.append(group)
            inside = self.x[g] & ~self.lanes == 0
            (group.within if inside else group.across).append(g)
        for group in groups:
            self._turn(layer, group)

    def _fits(self, group: _Group, g: int) -> bool:
        """Whether rotation g can join: there is room, and its direction is a new one of vectors."""
        if self.x[g] & ~self.lanes == 0:
            return len(group.within) < WITHIN
        if len(group.across) == ACROSS:
            return False
        return _independent([self.x[h] >> self.lane_bits for h in [*group.across, g]])

    def _turn(self, layer: int, group: _Group) -> None:
        rotations = group.across + group.within
        self.unscaled += len(rotations)
        if self.unscaled > UNSCALED:
            self.passes.append([SCALE, layer, 0, 0, 0, 0, 0, 0, 0, -1, -1])
            self.unscaled = len(rotations)
        directions = [self.x[g] for g in rotations]
        bases = self._bases(group)
        permuted = any(v & self.lanes for v in directions[: len(group.across)] + bases)
        general = any(self.by_row[g] for g in rotations)
        self.passes.append(
            [TURN, layer, len(group.across), len(group.within), len(self.order),
             len(self.vectors), len(bases), int(permuted), int(general), -1, -1]
        )  # fmt: skip
        self.order += rotations
        self.vectors += directions + bases

    def _bases(self, group: _Group) -> list[int]:
        """A basis of what is neither a direction across vectors nor inside a vector.

        Each vector is moved along the directions until no rotation of the group sees it.
        """
        taken = [self.x[g] >> self.lane_bits for g in group.across]
        pivots = {v.bit_length() - 1 for v in _echelon(taken)}
        free = [bit for bit in range(self.n_qubits - self.lane_bits) if bit not in pivots]
        bases = []
        for bit in free:
            base = 1 << (bit + self.lane_bits)
            for g in group.across + group.within:
                if odd(base & self.z[g]):
                    base ^= self.x[g]
            bases.append(base)
        return bases


def _kept_vectors(program: Program) -> list[int]:
    """Directions of the kept qubits, then a basis of the amplitudes with even roles."""
    if not len(program.kept):
        return []
    found = [int(x) for x in program.kept[:, 0]]
    pivots = {v.bit_length() - 1 for v in _echelon(found)}
    for bit in range(program.n_qubits):
        base = 1 << bit
        if bit in pivots:
            continue
        for x, z, _ in program.kept:
            if odd(base & int(z)):
                base ^= int(x)
        found.append(base)
    return found


def _echelon(vectors: list[int]) -> list[int]:
    """A basis of the span over GF(2) whose members have different highest bits."""
    basis: list[int] = []
    for start in vectors:
        vector = start
        for member in basis:
            vector = min(vector, vector ^ member)
        if vector:
            basis.append(vector)
    return basis


def _independent(vectors: list[int]) -> bool:
    return len(_echelon(vectors)) == len(vectors)

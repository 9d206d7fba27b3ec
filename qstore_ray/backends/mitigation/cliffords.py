"""Clifford gates of two qubits, and what they make of Pauli strings.

C P = P' C up to a sign: a Pauli P before the gate does the same as P' after it. A string is four
bits (x, z of the first qubit, x, z of the second); P → P' is linear in them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from qstore_ray.backends.mitigation.placed_circuit import PlacedCircuit
from qstore_ray.backends.noise.channels import PAULIS
from qstore_ray.circuits.template import Op
from qstore_ray.simulate import reference

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, ComplexArray

_SINGLE = tuple(PAULIS[letter] for letter in "IXZY")
"""By x + 2 z."""


class CliffordPart(NamedTuple):
    """Gates `first` to `last` of a circuit, both included: together a Clifford gate of two qubits.

    Attributes:
        qubits: the pair.
        moved: what each of the four bits before becomes after it (4, 4), rows are before.
    """

    first: int
    last: int
    qubits: tuple[int, int]
    moved: AnyArray


@lru_cache(maxsize=64)
def clifford_parts(circuit: PlacedCircuit) -> tuple[CliffordPart, ...]:
    """The gates of two qubits to twirl, in order.

    A gate of a device that is several here, such as ecr, has its channels after the last of them
    and is one part. Rotations whose angle is a constant, such as rzz(π/2), may be Clifford gates.
    """
    found = []
    for first, gate in enumerate(circuit.gates):
        if len(gate.op.qubits) != 2 or not _is_constant(gate.op):
            continue
        a, b = gate.op.qubits
        last = _end(circuit, first)
        moved = _moved(tuple(each.op for each in circuit.gates[first : last + 1]), (a, b))
        if moved is None and last > first:
            last, moved = first, _moved((gate.op,), (a, b))
        if moved is not None:
            found.append(CliffordPart(first, last, (a, b), moved))
    return tuple(found)


def _end(circuit: PlacedCircuit, first: int) -> int:
    """The last gate of the part: where the channels of the pair stand, at most a few gates on."""
    pair = set(circuit.gates[first].op.qubits)
    for place in range(first, len(circuit.gates)):
        op, channels = circuit.gates[place]
        if place > first and (len(op.qubits) != 1 or op.qubits[0] not in pair):
            break
        if channels:
            return place if {q for _, on in channels for q in on} == pair else first
        if place > first and not _is_constant(op):
            break
    return first


def _is_constant(op: Op) -> bool:
    return not any(angle.terms for angle in op.angles)


@lru_cache(maxsize=1024)
def _moved(ops: tuple[Op, ...], pair: tuple[int, int]) -> AnyArray | None:
    """Images of the four bits (4, 4); None if the gates are no Clifford gate."""
    unitary: ComplexArray = np.eye(4, dtype=complex)
    for op in ops:
        unitary = _on_pair(op, pair) @ unitary
    images = []
    for k in range(4):
        bits = np.arange(4) == k
        image = unitary @ pauli_matrix(bits) @ unitary.conj().T
        found = _bits_of(image)
        if found is None:
            return None
        images.append(found)
    return np.array(images)


def _on_pair(op: Op, pair: tuple[int, int]) -> ComplexArray:
    """The gate as a matrix, the first qubit of the pair the most significant bit."""
    matrix = reference.matrix(op.gate, *(angle.offset for angle in op.angles))
    if op.qubits == pair:
        return matrix
    if len(op.qubits) == 1:
        eye = np.eye(2)
        first = op.qubits[0] == pair[0]
        both = np.kron(matrix, eye) if first else np.kron(eye, matrix)
        return both.astype(np.complex128)
    swap = reference.matrix("swap")
    turned: ComplexArray = swap @ matrix @ swap
    return turned


def pauli_matrix(bits: Sequence[int] | AnyArray) -> ComplexArray:
    """The string of four bits (4, 4), up to a phase."""
    x, z, u, v = (int(bit) for bit in bits)
    return np.kron(_SINGLE[x + 2 * z], _SINGLE[u + 2 * v]).astype(np.complex128)


def _bits_of(matrix: ComplexArray) -> tuple[int, ...] | None:
    for code in range(16):
        bits = tuple(code >> k & 1 for k in range(4))
        if abs(abs(np.vdot(pauli_matrix(bits), matrix)) - 4.0) < 1e-9:
            return bits
    return None

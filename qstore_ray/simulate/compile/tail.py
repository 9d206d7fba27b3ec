"""The last gates of a circuit as observables of the few qubits that they act on.

In a circuit that ends on few qubits, such as a convolutional one, the last gates act on k of n
qubits and have the same angles for every row. They turn an observable O into A = U†OU, a matrix of
2^k × 2^k that is computed once for a batch (Heisenberg picture). A row needs the head of the
circuit and its density matrix ρ of the k qubits: ⟨O⟩ = Tr(Aρ). The gradients of the tail's angles
are those of Tr(U†OU R), where R = Σ_b w_b ρ_b sums up all rows of a block.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from qstore_ray.circuits.lower import lower
from qstore_ray.circuits.observable import Observable, PauliTerm
from qstore_ray.circuits.template import Op, Template
from qstore_ray.simulate.compile.compiler import compile_program, compile_rotations
from qstore_ray.simulate.compile.frame import pauli_rotations
from qstore_ray.simulate.compile.program import PHASES, Program

FEWEST, MOST = 2, 6
"""Kept qubits k. A vector of the kernels holds up to 2^3 amplitudes of the others."""
NARROWEST = 7
"""Qubits of a circuit that is worth a cut."""
MOST_OBSERVABLES = 4
WORTH = 0.75
"""A cut is taken if it leaves at most this much of the work."""
BLOCK = 16
"""Rows whose gradients are added up: the tail goes back once for all of them."""
_PASS, _ROWS, _CALL = 50.0, 32, 1e5


@dataclass(frozen=True, eq=False)
class CutProgram:
    """A circuit in two programs.

    Attributes:
        head: of n qubits, which keeps k of them at the end.
        tail: of k qubits, from amplitudes, with the observables and no row slots.
    """

    head: Program
    tail: Program


@lru_cache(maxsize=128)
def compile_cut(template: Template, observables: tuple[Observable, ...]) -> CutProgram | None:
    """The cheapest cut of a circuit; None where the whole circuit is cheaper."""
    if template.n_qubits < NARROWEST or len(observables) > MOST_OBSERVABLES:
        return None
    whole = compile_program(template, observables)
    best, least = None, WORTH * work(whole)
    for cut in _cuts(template, observables):
        found = _compiled(template, cut, observables)
        if (cost := _work_of_cut(found)) < least:
            best, least = found, cost
    return best


def _cuts(
    template: Template, observables: tuple[Observable, ...]
) -> Iterator[tuple[tuple[Op, ...], tuple[Op, ...], tuple[int, ...]]]:
    """Gates of the head and of the tail, and the kept qubits, for each number of these."""
    seen = 0
    for observable in observables:
        for term in observable.terms:
            seen |= term.x | term.z
    known: set[tuple[int, ...]] = set()
    for most in range(FEWEST, min(MOST, template.n_qubits - 3) + 1):
        kept, closed = seen, 0
        head: list[Op] = []
        tail: list[Op] = []
        for op in reversed(lower(template).ops):
            mask = sum(1 << qubit for qubit in op.qubits)
            by_row = any(angle.depends_on("row") for angle in op.angles)
            fits = (kept | mask).bit_count() <= most
            if mask & closed or by_row or not fits or not mask & kept:
                head.append(op)
                closed |= mask
            else:
                tail.append(op)
                kept |= mask
        qubits = tuple(q for q in range(template.n_qubits) if kept >> q & 1)
        if FEWEST <= len(qubits) <= most and tail and qubits not in known:
            known.add(qubits)
            yield tuple(reversed(head)), tuple(reversed(tail)), qubits


def _compiled(
    template: Template,
    cut: tuple[tuple[Op, ...], tuple[Op, ...], tuple[int, ...]],
    observables: tuple[Observable, ...],
) -> CutProgram:
    head_ops, tail_ops, qubits = cut
    strings = [(1 << q, 0) for q in qubits], [(0, 1 << q) for q in qubits]
    both = [Observable((PauliTerm(*s),)) for pair in zip(*strings, strict=True) for s in pair]
    head = replace(template, ops=head_ops)
    rotations, terms = pauli_rotations(head, both)
    place = {qubit: number for number, qubit in enumerate(qubits)}
    moved = tuple(Op(op.gate, tuple(place[q] for q in op.qubits), op.angles) for op in tail_ops)
    own = tuple(
        Observable(
            tuple(
                PauliTerm(_moved(term.x, place), _moved(term.z, place), term.coefficient)
                for term in observable.terms
            )
        )
        for observable in observables
    )
    tail = Template(len(qubits), moved, 0, template.n_params, "amplitudes")
    return CutProgram(
        compile_rotations(head, rotations, terms, len(observables), False, kept=True),
        compile_program(tail, own),
    )


def _moved(mask: int, place: dict[int, int]) -> int:
    return sum(1 << number for qubit, number in place.items() if mask >> qubit & 1)


def work(program: Program) -> float:
    """What values and gradients of a batch cost, about, in cycles of a vector register.

    A pass forward, and back on two states, moves as many bytes as fifty operations.
    """
    widths = program.layer_qubits()
    passes = sum(
        (1 if kind == PHASES else -(-(last - first) // 3)) * 2.0 ** int(width)
        for (kind, first, last), width in zip(program.layers, widths, strict=True)
    )
    return float(_PASS * passes * _ROWS / 8)


def _work_of_cut(cut: CutProgram) -> float:
    """The same of a cut: density matrix and observables are products of matrices."""
    dim = 1 << len(cut.head.kept)
    densities = (20 + (4 * cut.head.n_observables + 2) * dim) * cut.head.dim * _ROWS / 8
    blocks = 1 + _ROWS / 16
    return work(cut.head) + densities + work(cut.tail) * dim * blocks / _ROWS + _CALL

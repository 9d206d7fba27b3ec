"""The numpy engine: the same programs and the same adjoint sweep, as array operations on (N, 2^n).

It runs where numba is missing, and it is what the compiled engine is checked against on circuits
too wide for the reference. Slower by 5 to 50 times. Rows are taken in chunks, so that memory stays
bounded; a row's result does not depend on the other rows beyond rounding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from qstore_ray.simulate.program import DIAG, MATRIX, PERM, RUN, RX, RY, Program, SlotGradients

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, ComplexArray, FloatArray

CHUNK_BYTES = 32 * 2**20
"""One chunk of states takes at most about this many bytes (but holds at least one row)."""


class Tape(NamedTuple):
    """What `reverse` needs of a forward sweep over N rows."""

    program: Program
    slots: FloatArray
    amplitudes: AnyArray | None


def forward(
    program: Program,
    rows: FloatArray,
    params: FloatArray,
    amplitudes: AnyArray | None,
) -> tuple[FloatArray, Tape]:
    """Expectation values (N, O) of rows (N, A) and params (P,) or (N, P), and the tape."""
    slots = np.concatenate([rows, np.broadcast_to(params, (len(rows), program.n_params))], axis=1)
    tape = Tape(program, slots, amplitudes)
    values = np.empty((len(rows), program.n_observables))
    for chunk in _chunks(program, len(rows)):
        values[chunk] = _measure(program, _final_states(tape, chunk))
    return values, tape


def reverse(tape: Tape, cotangent: FloatArray, *, rows_gradient: bool) -> SlotGradients:
    """Σ_o cotangent[i, o] ∂⟨O_o⟩/∂slot for each row i, by the adjoint sweep of `kernels.py`."""
    program = tape.program
    gradients = np.zeros_like(tape.slots)
    through_start = rows_gradient and program.from_amplitudes
    initial = np.empty((len(tape.slots), program.dim), complex) if through_start else None
    for chunk in _chunks(program, len(tape.slots)):
        psi = _final_states(tape, chunk)
        lam = _apply_observables(program, psi, cotangent[chunk])
        sweep = _Sweep(program, _half_angles(tape, chunk), program.wanted_gates(rows_gradient))
        stop = program.last_pass_to_undo(rows_gradient)
        start = sweep.back(psi, lam, stop, gradients[chunk])
        if initial is not None:
            initial[chunk] = 2.0 * start
    return SlotGradients(gradients, initial)


def _chunks(program: Program, n_rows: int) -> list[slice]:
    size = max(1, CHUNK_BYTES // (program.dim * 16))
    return [slice(start, min(start + size, n_rows)) for start in range(0, n_rows, size)]


def _half_angles(tape: Tape, chunk: slice) -> FloatArray:
    """θ/2 of every angle (gates, rows)."""
    gates, affine = tape.program.gates, tape.program.affine
    return 0.5 * (affine[:, 0] * tape.slots[chunk][:, gates[:, 1]] + affine[:, 1]).T


def _final_states(tape: Tape, chunk: slice) -> ComplexArray:
    program = tape.program
    psi = np.zeros((len(tape.slots[chunk]), program.dim), complex)
    if tape.amplitudes is not None:
        psi[:] = tape.amplitudes[chunk]
    else:
        psi[:, 0] = 1.0
    sweep = _Sweep(program, _half_angles(tape, chunk), np.zeros(len(program.gates), bool))
    for index in range(len(program.code)):
        psi = sweep.apply(index, psi)
    return psi


class _Sweep:
    """The passes of a program for one chunk of rows, forward and back."""

    def __init__(self, program: Program, half: FloatArray, wanted: AnyArray) -> None:
        self.program = program
        self.cos, self.sin = np.cos(half), np.sin(half)
        self.wanted = wanted

    def apply(self, index: int, psi: ComplexArray, inverse: bool = False) -> ComplexArray:
        """The states (N, 2^n) after pass `index`, or before it."""
        kind, a, b, c = self.program.code[index]
        if kind == RUN:
            u = self._run(b, c)
            return _apply_run(psi, a, u.conj().swapaxes(-1, -2) if inverse else u)
        if kind == PERM:
            moved: ComplexArray = psi[:, self._source(a, b, inverse)]
            return moved
        if kind == DIAG:
            real, imag = self.program.phases[a]
            phased: ComplexArray = psi * (real + (-1j if inverse else 1j) * imag)
            return phased
        turn = (1j if inverse else -1j) * _signs(self.program.dim, a)
        turned: ComplexArray = psi * (self.cos[b][:, None] + turn * self.sin[b][:, None])
        return turned

    def back(
        self, psi: ComplexArray, lam: ComplexArray, stop: int, gradient: FloatArray
    ) -> ComplexArray:
        """Undo passes down to `stop` on ψ and λ, add gradients (rows, slots); λ at the start."""
        for index in range(len(self.program.code) - 1, stop - 1, -1):
            kind, a, b, c = self.program.code[index]
            if kind == RUN:
                self._run_gradients(_overlap(psi, lam, a), b, c, gradient)
            elif kind not in (PERM, DIAG) and self.wanted[b]:
                value = (lam.conj() * psi).imag @ _signs(self.program.dim, a)
                gradient[:, self.program.gates[b, 1]] += self.program.affine[b, 0] * value
            psi, lam = self.apply(index, psi, True), self.apply(index, lam, True)
        return lam

    def _element(self, index: int) -> ComplexArray:
        """The matrix of one element of a run, (2, 2) or (rows, 2, 2)."""
        kind, ref = self.program.elements[index]
        if kind == MATRIX:
            matrix: ComplexArray = self.program.matrices[ref].view(np.complex128).reshape(2, 2)
            return matrix
        c, s = self.cos[ref], self.sin[ref]
        if kind == RX:
            entries = [c, -1j * s, -1j * s, c]
        elif kind == RY:
            entries = [c, -s, s, c]
        else:
            entries = [c - 1j * s, 0 * c, 0 * c, c + 1j * s]
        return np.stack(entries, axis=-1).astype(complex).reshape(-1, 2, 2)

    def _run(self, first: int, last: int) -> ComplexArray:
        total = self._element(first)
        for index in range(first + 1, last):
            total = self._element(index) @ total
        return total

    def _run_gradients(self, m: ComplexArray, first: int, last: int, gradient: FloatArray) -> None:
        for index in range(last - 1, first - 1, -1):
            kind, ref = self.program.elements[index]
            if kind != MATRIX and self.wanted[ref]:
                if kind == RX:
                    value = (m[:, 0, 1] + m[:, 1, 0]).imag
                elif kind == RY:
                    value = (m[:, 1, 0] - m[:, 0, 1]).real
                else:
                    value = (m[:, 0, 0] - m[:, 1, 1]).imag
                gradient[:, self.program.gates[ref, 1]] += self.program.affine[ref, 0] * value
            u = self._element(index)
            m = u.swapaxes(-1, -2) @ m @ u.conj()

    def _source(self, first: int, last: int, inverse: bool) -> AnyArray:
        """Where each amplitude comes from in a permutation, or in its inverse."""
        source = np.arange(self.program.dim)
        for cycle in range(first, last):
            begin, end = self.program.cycle_starts[cycle : cycle + 2]
            members = self.program.cycles[begin:end]
            source[members] = np.roll(members, 1 if inverse else -1)
        return source


def _apply_run(psi: ComplexArray, qubit: int, u: ComplexArray) -> ComplexArray:
    pairs = psi.reshape(len(psi), -1, 2, 2**qubit)
    if u.ndim == 3:
        u = u[:, None]
    applied: ComplexArray = np.matmul(u, pairs).reshape(psi.shape)
    return applied


def _overlap(psi: ComplexArray, lam: ComplexArray, qubit: int) -> ComplexArray:
    """M_ab = Σ conj(λ_a) ψ_b, (rows, 2, 2)."""
    shape = (len(psi), -1, 2, 2**qubit)
    m: ComplexArray = np.einsum("nhal,nhbl->nab", lam.conj().reshape(shape), psi.reshape(shape))
    return m


def _signs(dim: int, mask: int) -> FloatArray:
    """(−1)^|j∧mask| for every j, (2^n,)."""
    bits = np.bitwise_count(np.arange(dim) & mask)
    signs: FloatArray = 1.0 - 2.0 * (bits & 1)
    return signs


def _pauli(psi: ComplexArray, x: int, z: int, power: int) -> ComplexArray:
    """P ψ with P|j⟩ = i^power (−1)^|j∧z| |j ⊕ x⟩."""
    index = np.arange(psi.shape[1])
    moved: ComplexArray = (psi * (1j**power * _signs(psi.shape[1], z)))[:, index ^ x]
    return moved


def _measure(program: Program, psi: ComplexArray) -> FloatArray:
    values = np.zeros((len(psi), program.n_observables))
    for (x, z, power, index), coefficient in zip(program.terms, program.coefficients, strict=True):
        moved = _pauli(psi, x, z, power)
        values[:, index] += coefficient * np.einsum("nj,nj->n", psi.conj(), moved).real
    return values


def _apply_observables(program: Program, psi: ComplexArray, cotangent: FloatArray) -> ComplexArray:
    """λ = Σ_o w_o O_o ψ, (rows, 2^n)."""
    lam = np.zeros_like(psi)
    for (x, z, power, index), coefficient in zip(program.terms, program.coefficients, strict=True):
        lam += (coefficient * cotangent[:, index])[:, None] * _pauli(psi, x, z, power)
    return lam

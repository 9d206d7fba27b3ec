"""The numpy engine: the program's layers and the adjoint sweep as array operations on (N, 2^n).

It runs if the compiled kernels are not installed, and the tests compare the kernels with it on
circuits too wide for the reference. Rows are taken in chunks, so that memory stays bounded.

The reverse sweep is adjoint differentiation (Jones & Gacon 2020, arXiv:2009.02823): with ψ the
final state and λ = Σ_o w_o O_o ψ, walk back through the layers, undo each on both, and read off
∂/∂θ = Im⟨λ|P|ψ⟩ for each rotation exp(−iθP/2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from qstore_ray.simulate.compile.program import PHASES, Program, SlotGradients
from qstore_ray.simulate.engines.signed_arrays import (  # noqa: F401 - functions of `Engine`
    bind_signed,
    draw_errors,
    unbind_signed,
)

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, ComplexArray, FloatArray

CHUNK_BYTES = 32 * 2**20
"""One chunk of states takes at most about this many bytes (but holds at least one row)."""


class Tape(NamedTuple):
    """What `reverse` needs of a forward sweep over N rows."""

    program: Program
    slots: FloatArray
    amplitudes: AnyArray | None


WIDTHS = (2, 4, 6, 8, 10)
"""Numbers of qubits at which `cost.py` measures the engine."""


def rows_at_once(n_qubits: int) -> int:
    """One row: memory is bounded by `CHUNK_BYTES` otherwise."""
    return 1


def forward(
    program: Program,
    rows: FloatArray,
    params: FloatArray,
    amplitudes: AnyArray | None,
    *,
    keep: bool = True,
    threads: int = 1,
    precision: str = "complex128",
) -> tuple[FloatArray, Tape]:
    """Expectation values (N, O) of rows (N, A) and params (P,) or (N, P), and the tape.

    numpy chooses its threads itself, and `reverse` recomputes the states, so `keep`, `threads` and
    `precision` have no effect; they belong to the interface of the engines.
    """
    tape = _tape(program, rows, params, amplitudes)
    values = np.empty((len(rows), program.n_observables))
    for chunk in _chunks(program, len(rows)):
        values[chunk] = _measure(program, _Sweep(tape, chunk).final_states())
    return values, tape


def reverse(
    tape: Tape, cotangent: FloatArray, *, rows_gradient: bool, threads: int = 1
) -> SlotGradients:
    """Σ_o cotangent[i, o] ∂⟨O_o⟩/∂slot for each row i, by the adjoint sweep."""
    program = tape.program
    gradients = np.zeros_like(tape.slots)
    through_start = rows_gradient and program.from_amplitudes
    initial = np.empty((len(tape.slots), program.dim), complex) if through_start else None
    for chunk in _chunks(program, len(tape.slots)):
        sweep = _Sweep(tape, chunk)
        psi = sweep.final_states()
        lam = _apply_observables(program, psi, cotangent[chunk])
        by_angle, start = sweep.back(psi, lam, rows_gradient)
        for g in range(len(program.x)):
            for k in range(program.term_starts[g], program.term_starts[g + 1]):
                gradients[chunk, program.slots[k]] += program.scales[k] * by_angle[:, g]
        if initial is not None:
            initial[chunk] = 2.0 * start
    return SlotGradients(gradients, initial)


def states(
    program: Program,
    rows: FloatArray,
    params: FloatArray,
    amplitudes: AnyArray | None,
    *,
    threads: int = 1,
    precision: str = "complex128",
) -> ComplexArray:
    """Final states (N, 2^n) of a program of `compile_states`."""
    tape = _tape(program, rows, params, amplitudes)
    found = np.empty((len(rows), program.dim), complex)
    for chunk in _chunks(program, len(rows)):
        found[chunk] = _Sweep(tape, chunk).final_states()
    return found


def _tape(
    program: Program, rows: FloatArray, params: FloatArray, amplitudes: AnyArray | None
) -> Tape:
    slots = np.concatenate([rows, np.broadcast_to(params, (len(rows), program.n_params))], axis=1)
    return Tape(program, slots, amplitudes)


def _chunks(program: Program, n_rows: int) -> list[slice]:
    size = max(1, CHUNK_BYTES // (program.dim * 16))
    return [slice(start, min(start + size, n_rows)) for start in range(0, n_rows, size)]


class _Sweep:
    """The layers of a program for one chunk of rows, forward and back."""

    def __init__(self, tape: Tape, chunk: slice) -> None:
        self.program, self.amplitudes = tape.program, tape.amplitudes
        self.chunk = chunk
        p = tape.program
        slots = tape.slots[chunk]
        self.angles = np.tile(p.offsets, (len(slots), 1))
        for g in range(len(p.x)):
            for k in range(p.term_starts[g], p.term_starts[g + 1]):
                self.angles[:, g] += p.scales[k] * slots[:, p.slots[k]]

    def final_states(self) -> ComplexArray:
        """ψ (rows, 2^n) after the last layer."""
        psi = np.zeros((len(self.angles), self.program.dim), complex)
        if self.amplitudes is not None:
            psi[:] = self.amplitudes[self.chunk]
        else:
            psi[:, 0] = 1.0
        for g in range(self.program.n_leading):
            psi = self._rotate(psi, g, 1.0)
        for layer in range(len(self.program.layers)):
            psi = self._apply(psi, layer, 1.0)
        return psi

    def back(
        self, psi: ComplexArray, lam: ComplexArray, rows_gradient: bool
    ) -> tuple[FloatArray, ComplexArray]:
        """∂/∂angle (rows, G), zero for angles that are not wanted, and λ at the start."""
        program = self.program
        wanted = program.wanted(rows_gradient)
        found = np.zeros_like(self.angles)
        stop = program.layers_to_undo(rows_gradient)
        for layer in range(len(program.layers) - 1, max(stop, 0) - 1, -1):
            _, first, last = program.layers[layer]
            for g in range(first, last):
                if wanted[g]:
                    found[:, g] = self._overlap(psi, lam, g)
            psi, lam = self._apply(psi, layer, -1.0), self._apply(lam, layer, -1.0)
        if stop < 0:
            for g in range(program.n_leading - 1, -1, -1):
                if wanted[g]:
                    found[:, g] = self._overlap(psi, lam, g)
                psi, lam = self._rotate(psi, g, -1.0), self._rotate(lam, g, -1.0)
        return found, lam

    def _apply(self, psi: ComplexArray, layer: int, sign: float) -> ComplexArray:
        kind, first, last = self.program.layers[layer]
        if kind == PHASES:
            signs = np.stack([_signs(self.program.dim, z) for z in self.program.z[first:last]])
            phased: ComplexArray = psi * np.exp(-0.5j * sign * (self.angles[:, first:last] @ signs))
            return phased
        for g in range(first, last):
            psi = self._rotate(psi, g, sign)
        return psi

    def _rotate(self, psi: ComplexArray, g: int, sign: float) -> ComplexArray:
        """exp(−iθP/2) ψ, with −θ if `sign` is −1."""
        half = 0.5 * sign * self.angles[:, g, None]
        turned: ComplexArray = np.cos(half) * psi - 1j * np.sin(half) * self._string(psi, g)
        return turned

    def _overlap(self, psi: ComplexArray, lam: ComplexArray, g: int) -> FloatArray:
        """Im⟨λ|P|ψ⟩ (rows,)."""
        found: FloatArray = np.einsum("nj,nj->n", lam.conj(), self._string(psi, g)).imag
        return found

    def _string(self, psi: ComplexArray, g: int) -> ComplexArray:
        x, z = int(self.program.x[g]), int(self.program.z[g])
        return _pauli(psi, x, z, (x & z).bit_count() % 2)


def _signs(dim: int, mask: int) -> FloatArray:
    """(−1)^|j∧mask| for every j, (2^n,)."""
    bits = np.bitwise_count(np.arange(dim) & mask)
    signs: FloatArray = 1.0 - 2.0 * (bits & 1)
    return signs


def _pauli(psi: ComplexArray, x: int, z: int, power: int) -> ComplexArray:
    """i^power X^x Z^z ψ."""
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

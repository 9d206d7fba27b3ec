"""The compiled engine: one call of a C kernel for a whole sweep over many rows.

`forward` returns the values (N, O) and a `NativeTape`; `reverse` takes the tape and a cotangent
(N, O) to gradients. The tape keeps the final states while they fit in `KEPT_BYTES`; otherwise
`reverse` computes each tile's state again. So memory stays bounded at any N and any depth: two
states and one real field a thread, and the phase tables that all threads share. From `SPLIT` qubits
on the threads share the amplitudes of one row, and so two states and a field.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from qstore_ray.simulate import _kernels
from qstore_ray.simulate.compile.program import Program, SlotGradients
from qstore_ray.simulate.compile.schedule import schedule
from qstore_ray.simulate.compile.tail import BLOCK
from qstore_ray.simulate.engines.engines import TABLE_BYTES, WIDE, Precision
from qstore_ray.simulate.engines.signed_native import (  # noqa: F401 - functions of `Engine`
    bind_signed,
    draw_errors,
    unbind_signed,
)
from qstore_ray.simulate.engines.threads import CACHE_LINE, scratch

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, ComplexArray, FloatArray, IntArray

WIDTHS = (2, 4, 6, 8, 10, 12, 14, 16, 18)
"""Numbers of qubits at which `cost.py` measures the engine."""
KEPT_BYTES = 128 * 2**20
"""Final states are kept for the reverse sweep up to this many bytes."""
CHUNK_BYTES = 8 * 2**20
"""States that are asked for are computed about this many bytes at a time."""
SHARED_BYTES = 2**20
"""A sweep that moves fewer bytes takes less time than to begin a thread."""
PIECES = 32
"""Into which a wide row is cut, as in `native/sweeps.h`: more threads have nothing to do."""
_UNEVEN = 1.2
"""Threads take rows in place of blocks if one would have so many times its share."""
LOADED = 1024
"""Programs that stay loaded. A wide circuit is hundreds of small ones, all used in every step."""


class Loaded(NamedTuple):
    """A program ready for the kernels: its arrays (kept alive), the sizes of what they need, and
    whether threads share a row's amplitudes.
    """

    header: AnyArray
    passes: IntArray
    arrays: tuple[AnyArray, ...]
    precision: int
    mode: int
    n_order: int
    scratch_bytes: int
    shared_bytes: int
    state_bytes: int
    tile_rows: int
    splits: int


@dataclass(slots=True)
class NativeTape:
    """What `reverse` needs of a forward sweep over N rows.

    `memory` holds what all rows share and, if `kept`, their final states. The kernels turn these
    back into initial ones: a second reverse sweep computes them again.
    """

    program: Program
    loaded: Loaded
    memory: AnyArray
    kept: bool
    rows: FloatArray
    params: FloatArray
    amplitudes: AnyArray | None
    observables: ComplexArray | None = None


@lru_cache(maxsize=LOADED)
def load(program: Program, precision: Precision = "complex128") -> Loaded:
    """The program's passes and arrays where the kernels find them."""
    _, lanes = _kernels.current()
    mode = int(program.n_qubits >= WIDE)
    lane_bits = lanes.bit_length() - 1 if mode else 0
    found = schedule(program, lane_bits, TABLE_BYTES // 16)
    p = program
    starts, edges = p.parts, found.edges
    parts = np.column_stack([starts[:, :3], edges[:-1], edges[1:], starts[:, 3:]]).copy("C")
    kept = np.concatenate([p.kept[:, 0], p.kept[:, 1], _signs_of_kept(p)])
    arrays = (
        p.x, p.z, found.local_z, p.offsets, p.term_starts, p.slots, p.scales,
        p.by_row.view(np.uint8), p.leading_starts, p.layers, p.terms, p.coefficients,
        found.passes, found.order, found.vectors, parts, kept,
        found.kept_vectors,
    )  # fmt: skip
    numbers = [
        p.n_qubits, p.n_rows, p.n_params, p.n_observables, int(p.params_per_row), len(p.x),
        len(p.layers), len(p.terms), len(found.passes),
    ]  # fmt: skip
    at = [array.ctypes.data for array in arrays]
    sizes_of = [int(p.from_amplitudes), found.table_amplitudes, len(parts)]
    tail = [at[-3], len(p.kept), *at[-2:]]
    header = np.array(numbers + at[:-3] + sizes_of + tail, np.int64)
    kind = int(precision == "complex64")
    sizes = _kernels.sizes(kind, mode, header, len(found.order))
    return Loaded(header, found.passes, arrays, kind, mode, len(found.order), *sizes)


def _signs_of_kept(program: Program) -> IntArray:
    """The Pauli string of the kept qubits, as x and z mask, that makes their signs +1."""
    x_mask = z_mask = 0
    for place, (_, _, signs) in enumerate(program.kept):
        z_mask |= (int(signs) & 1) << place
        x_mask |= (int(signs) >> 1) << place
    return np.array([x_mask, z_mask], np.int64)


def rows_at_once(n_qubits: int) -> int:
    """Rows in a vector register; in wide circuits it holds amplitudes of one row."""
    return 8 if n_qubits < WIDE else 1


def forward(
    program: Program,
    rows: FloatArray,
    params: FloatArray,
    amplitudes: AnyArray | None,
    *,
    keep: bool,
    threads: int = 1,
    precision: Precision = "complex128",
    observables: ComplexArray | None = None,
) -> tuple[FloatArray, NativeTape]:
    """Expectation values (N, O) of rows (N, A) and params (P,) or (N, P), and the tape.

    Args:
        keep: whether a reverse sweep will follow.
        threads: how many threads share the tiles.
        observables: (O, 2^k, 2^k) of the qubits that a program keeps.
    """
    k = load(program, precision)
    kept = keep and _tiles(k, len(rows)) * k.state_bytes <= KEPT_BYTES
    return _forward(
        program, k, rows, params, amplitudes, kept=kept, threads=threads, observables=observables
    )


def _tiles(k: Loaded, n: int) -> int:
    return -(-n // k.tile_rows)


def _forward(
    program: Program,
    k: Loaded,
    rows: FloatArray,
    params: FloatArray,
    amplitudes: AnyArray | None,
    *,
    kept: bool,
    threads: int,
    observables: ComplexArray | None = None,
) -> tuple[FloatArray, NativeTape]:
    n = len(rows)
    rows = np.ascontiguousarray(rows, np.float64)
    params = np.ascontiguousarray(params, np.float64)
    if amplitudes is not None:
        amplitudes = np.ascontiguousarray(amplitudes, np.complex128)
    tiles = _tiles(k, n)
    memory = np.empty(k.shared_bytes + (tiles * k.state_bytes if kept else 0), np.uint8)
    tape = NativeTape(program, k, memory, kept, rows, params, amplitudes, observables)
    values = np.empty((n, program.n_observables))

    _sweep(tape, kept=kept, bind=True, values=values, threads=threads)
    return values, tape


def reverse(
    tape: NativeTape,
    cotangent: FloatArray,
    *,
    rows_gradient: bool,
    threads: int = 1,
    weighted: ComplexArray | None = None,
) -> SlotGradients:
    """Σ_o cotangent[i, o] ∂⟨O_o⟩/∂slot for each row i of the tape.

    Args:
        cotangent: (N, O).
        rows_gradient: also for the row angles and amplitudes; else those are zeros and None.
        weighted: (blocks, O, 2^k, 2^k) zeros, where the kept qubits' density matrices are added
            up, times the cotangent.
    """
    gradients = np.zeros((len(tape.rows), tape.program.n_slots))
    back = _Back.of(tape.program, rows_gradient, len(tape.rows), gradients, weighted=weighted)
    _reverse(tape, cotangent, back, threads)
    return SlotGradients(gradients, back.amplitudes)


def reverse_blocks(
    tape: NativeTape,
    cotangent: FloatArray,
    *,
    rows_gradient: bool,
    threads: int = 1,
    weighted: ComplexArray | None = None,
) -> BlockGradients:
    """The same gradients, those of the parameters added up over each block of rows, in their order.

    Without `rows_gradient` those of the rows are zeros.
    """
    program, n = tape.program, len(tape.rows)
    rows, blocks = np.zeros((n, program.n_rows)), -(-n // BLOCK)
    uneven = weighted is None and tape.loaded.tile_rows == 1 and _are_uneven(n, threads)
    # numpy adds a single column in pairs, and results are to stay.
    if program.n_params == 1 or (uneven and program.n_params):
        slots, amplitudes = reverse(
            tape, cotangent, rows_gradient=rows_gradient, threads=threads, weighted=weighted
        )
        each = np.zeros((blocks * BLOCK, program.n_params))
        each[:n] = slots[:, program.n_rows :]
        summed = each.reshape(blocks, BLOCK, program.n_params).sum(axis=1)
        found = slots[:, : program.n_rows] if rows_gradient else rows
        return BlockGradients(found, summed, amplitudes)
    params = np.empty((blocks, program.n_params))
    asked = rows if rows_gradient else None
    back = _Back.of(program, rows_gradient, n, asked, params, weighted)
    _reverse(tape, cotangent, back, threads)
    return BlockGradients(rows, params, back.amplitudes)


def _are_uneven(n: int, threads: int) -> bool:
    """Whether a thread would wait for one with more rows, if each took whole blocks."""
    longest = min(n, -(-n // BLOCK // threads) * BLOCK)
    return longest > _UNEVEN * -(-n // threads)


def _reverse(tape: NativeTape, cotangent: FloatArray, back: _Back, threads: int) -> None:
    cotangent = np.ascontiguousarray(cotangent, np.float64)
    kept, tape.kept = tape.kept, False
    _sweep(tape, kept=kept, bind=False, values=cotangent, threads=threads, back=back)


def states(
    program: Program,
    rows: FloatArray,
    params: FloatArray,
    amplitudes: AnyArray | None,
    *,
    threads: int = 1,
    precision: Precision = "complex128",
) -> ComplexArray:
    """Final states (N, 2^n) of a program of `compile_states`."""
    k = load(program, precision)
    found = np.empty((len(rows), program.dim), complex)
    at_once = max(1, CHUNK_BYTES // k.state_bytes) * k.tile_rows
    for first in range(0, len(rows), at_once):
        chunk = slice(first, first + at_once)
        own = params[chunk] if params.ndim == 2 else params
        start = None if amplitudes is None else amplitudes[chunk]
        _, tape = _forward(program, k, rows[chunk], own, start, kept=True, threads=threads)
        found[chunk] = _kept_states(tape)
    return found


def _kept_states(tape: NativeTape) -> ComplexArray:
    """The states of the tape's rows, one after the other, out of the kernels' vectors.

    A vector of real parts is followed by one of imaginary parts. It holds an amplitude of several
    rows, or in wide circuits several amplitudes of a row.
    """
    k, n = tape.loaded, len(tape.rows)
    start = -tape.memory.ctypes.data % CACHE_LINE + k.shared_bytes - CACHE_LINE
    numbers = tape.memory[start : start + _tiles(k, n) * k.state_bytes]
    _, lanes = _kernels.current()
    vectors = numbers.view(np.float32 if k.precision else np.float64)
    vectors = vectors.reshape(_tiles(k, n), -1, 2, lanes)
    if k.mode:
        parts = vectors.swapaxes(2, 3).reshape(n, -1, 2)
    else:
        parts = vectors.transpose(0, 3, 1, 2).reshape(-1, tape.program.dim, 2)[:n]
    found: ComplexArray = np.ascontiguousarray(parts, np.float64).view(np.complex128)[..., 0]
    return found


class BlockGradients(NamedTuple):
    """Gradients of the rows (N, A), of the parameters over each block (blocks, P), and of
    the initial amplitudes (N, 2^n) or None.
    """

    rows: FloatArray
    params: FloatArray
    amplitudes: ComplexArray | None


class _Back(NamedTuple):
    """Further arguments of a reverse sweep: stop position, wanted gradients, and their arrays."""

    stop: int = 0
    wanted: AnyArray | None = None
    gradients: FloatArray | None = None
    summed: FloatArray | None = None
    amplitudes: ComplexArray | None = None
    weighted: ComplexArray | None = None

    @classmethod
    def of(
        cls,
        program: Program,
        rows_gradient: bool,
        n_rows: int,
        gradients: FloatArray | None,
        summed: FloatArray | None = None,
        weighted: ComplexArray | None = None,
    ) -> _Back:
        through_start = rows_gradient and program.from_amplitudes
        return cls(
            *aim(program, rows_gradient), gradients, summed,
            np.empty((n_rows, program.dim), complex) if through_start else None, weighted,
        )  # fmt: skip


_FORWARD = _Back()


def _sweep(
    tape: NativeTape,
    *,
    kept: bool,
    bind: bool,
    values: FloatArray,
    threads: int,
    back: _Back = _FORWARD,
) -> None:
    """Run the kernels on all rows: forward into `values`, or back from them.

    Args:
        kept: the tape's memory takes the final states, or has them.
        bind: compute what the rows share first.
        back: of a reverse sweep, whose `values` are the cotangent.
    """
    k = tape.loaded
    tiles = _tiles(k, len(tape.rows))
    # What a block adds up is added up by one thread, in the order of its tiles.
    by_block = back.weighted is not None or back.summed is not None
    together = BLOCK // k.tile_rows if by_block else 1
    if tiles * k.state_bytes * len(k.passes) < SHARED_BYTES:
        threads = 1
    threads = max(1, min(threads, PIECES if k.splits else -(-tiles // together)))
    room = scratch(k.scratch_bytes * (1 if k.splits else threads))
    _kernels.sweep(
        k.precision, k.mode, back is not _FORWARD, bind, kept, len(tape.rows), k.n_order, threads,
        together, back.stop, BLOCK, k.header, tape.memory, tape.rows, tape.params, tape.amplitudes,
        room, values, back.wanted, back.gradients, back.summed, back.amplitudes, tape.observables,
        back.weighted,
    )  # fmt: skip


@lru_cache(maxsize=LOADED)
def aim(program: Program, rows_gradient: bool) -> tuple[int, AnyArray]:
    """Where the reverse sweep stops, and whose gradients it takes."""
    wanted = program.wanted(rows_gradient).view(np.uint8)
    return program.layers_to_undo(rows_gradient), wanted

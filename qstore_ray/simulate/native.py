"""The compiled engine: one call of a C kernel for a whole sweep over many rows.

`forward` returns the values (N, O) and a `Tape`; `reverse` takes the tape and a cotangent (N, O) to
gradients. The tape keeps the final states while they fit in `KEPT_BYTES`; otherwise `reverse`
computes each tile's state again. So memory stays bounded at any N and any depth: two states and
one real field a thread, and the phase tables that all threads share.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from qstore_ray.simulate import _kernels
from qstore_ray.simulate.engines import TABLE_BYTES, WIDE, Precision
from qstore_ray.simulate.program import Program, SlotGradients
from qstore_ray.simulate.schedule import schedule
from qstore_ray.simulate.threads import over_tiles, scratch

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, FloatArray

KEPT_BYTES = 128 * 2**20
"""Final states are kept for the reverse sweep up to this many bytes."""


class Loaded(NamedTuple):
    """A program ready for the kernels: its arrays (kept alive) and the sizes of what they need."""

    header: AnyArray
    arrays: tuple[AnyArray, ...]
    precision: int
    mode: int
    n_order: int
    scratch_bytes: int
    shared_bytes: int
    state_bytes: int
    tile_rows: int


@dataclass(slots=True)
class Tape:
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


@lru_cache(maxsize=128)
def load(program: Program, precision: Precision = "complex128") -> Loaded:
    """The program's passes and arrays where the kernels find them."""
    _, lanes = _kernels.current()
    mode = int(program.n_qubits >= WIDE)
    lane_bits = lanes.bit_length() - 1 if mode else 0
    found = schedule(program, lane_bits, TABLE_BYTES // (16 * program.dim))
    p = program
    arrays = (
        p.x, p.z, p.offsets, p.term_starts, p.slots, p.scales, p.by_row.view(np.uint8),
        p.leading_starts, p.layers, p.terms, p.coefficients, found.passes, found.order,
        found.vectors,
    )  # fmt: skip
    numbers = [
        p.n_qubits, p.n_rows, p.n_params, p.n_observables, int(p.params_per_row), len(p.x),
        len(p.layers), len(p.terms), len(found.passes),
    ]  # fmt: skip
    addresses = [array.ctypes.data for array in arrays]
    tail = [int(p.from_amplitudes), found.n_tables]
    header = np.array(numbers + addresses + tail, np.int64)
    kind = int(precision == "complex64")
    sizes = _kernels.sizes(kind, mode, header, len(found.order))
    return Loaded(header, arrays, kind, mode, len(found.order), *sizes)


def forward(
    program: Program,
    rows: FloatArray,
    params: FloatArray,
    amplitudes: AnyArray | None,
    *,
    keep: bool,
    threads: int = 1,
    precision: Precision = "complex128",
) -> tuple[FloatArray, Tape]:
    """Expectation values (N, O) of rows (N, A) and params (P,) or (N, P), and the tape.

    Args:
        keep: whether a reverse sweep will follow.
        threads: how many threads share the tiles.
    """
    k = load(program, precision)
    n = len(rows)
    rows = np.ascontiguousarray(rows, np.float64)
    params = np.ascontiguousarray(params, np.float64)
    if amplitudes is not None:
        amplitudes = np.ascontiguousarray(amplitudes, np.complex128)
    tiles = -(-n // k.tile_rows)
    kept_bytes = tiles * k.state_bytes
    kept = keep and kept_bytes <= KEPT_BYTES
    memory = np.empty(k.shared_bytes + (kept_bytes if kept else 0), np.uint8)
    tape = Tape(program, k, memory, kept, rows, params, amplitudes)
    values = np.empty((n, program.n_observables))

    alone = threads == 1 or tiles <= 1
    if not alone:  # parameters are bound once, before the threads begin
        _sweep(tape, kept, False, True, 0, 0, 0, values, None, None, None)

    def run(first: int, last: int) -> None:
        _sweep(tape, kept, False, alone, first, last, 0, values, None, None, None)

    over_tiles(run, tiles, threads)
    return values, tape


def reverse(
    tape: Tape, cotangent: FloatArray, *, rows_gradient: bool, threads: int = 1
) -> SlotGradients:
    """Σ_o cotangent[i, o] ∂⟨O_o⟩/∂slot for each row i of the tape.

    Args:
        cotangent: (N, O).
        rows_gradient: also for the row angles and amplitudes; else those are zeros and None.
    """
    program, n = tape.program, len(tape.rows)
    gradients = np.zeros((n, program.n_slots))
    through_start = rows_gradient and program.from_amplitudes
    amplitudes = np.empty((n, program.dim), complex) if through_start else None
    cotangent = np.ascontiguousarray(cotangent, np.float64)
    stop, wanted = _aim(program, rows_gradient)
    kept, tape.kept = tape.kept, False

    def run(first: int, last: int) -> None:
        _sweep(tape, kept, True, False, first, last, stop, cotangent, wanted, gradients, amplitudes)

    over_tiles(run, -(-n // tape.loaded.tile_rows), threads)
    return SlotGradients(gradients, amplitudes)


def _sweep(
    tape: Tape, kept: bool, back: bool, bind: bool, first: int, last: int, stop: int, *arrays: Any
) -> None:
    k = tape.loaded
    _kernels.sweep(
        k.precision, k.mode, back, bind, kept, len(tape.rows), k.n_order, first, last, stop,
        k.header, tape.memory, tape.rows, tape.params, tape.amplitudes, scratch(k.scratch_bytes),
        *arrays,
    )  # fmt: skip


@lru_cache(maxsize=128)
def _aim(program: Program, rows_gradient: bool) -> tuple[int, AnyArray]:
    """Where the reverse sweep stops, and whose gradients it takes."""
    wanted = program.wanted(rows_gradient).view(np.uint8)
    return program.layers_to_undo(rows_gradient), wanted

"""The compiled engine: packs rows into tiles, calls the numba sweeps, unpacks the results.

`forward` returns the values (N, O) and a `Tape`; `reverse` takes the tape and a cotangent (N, O) to
gradients. The tape keeps the final states while they fit in `KEPT_BYTES`; otherwise `reverse`
computes each tile's state again, so memory stays bounded at any N: five tiles of 2^n · 128 bytes a
thread.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from qstore_ray.circuits.observable import z_observables
from qstore_ray.circuits.template import Op, Template, param
from qstore_ray.simulate import sweep
from qstore_ray.simulate.compiler import compile_program
from qstore_ray.simulate.program import Program, SlotGradients
from qstore_ray.simulate.simd import LANES

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, FloatArray

KEPT_BYTES = 128 * 2**20
"""Final states are kept for the reverse sweep up to this many bytes."""


class Tape(NamedTuple):
    """What `reverse` needs of a forward sweep over N rows."""

    program: Program
    n_rows: int
    slots: FloatArray
    shared: FloatArray
    initial: FloatArray
    states: FloatArray


def forward(
    program: Program,
    rows: FloatArray,
    params: FloatArray,
    amplitudes: AnyArray | None,
    *,
    keep: bool,
    threads: int = 1,
) -> tuple[FloatArray, Tape]:
    """Expectation values (N, O) of rows (N, A) and params (P,) or (N, P), and the tape.

    Args:
        keep: whether a reverse sweep will follow.
        threads: how many threads share the tiles.
    """
    n = len(rows)
    tiles = -(-n // LANES)
    slots, shared = _bind(program, rows, params, tiles)
    initial = _to_tiles(_planes(amplitudes), tiles) if amplitudes is not None else _none(program)
    fits = tiles * program.dim * 2 * LANES * 8 <= KEPT_BYTES
    states = np.empty((tiles, 2, program.dim * LANES)) if keep and fits else _none(program)
    values = np.empty((tiles, program.n_observables * LANES))
    arguments = _arguments(program)

    def run(first: int, last: int) -> None:
        sweep.forward(*arguments, slots, shared, initial, first, last, values, states)

    _over_tiles(run, tiles, threads)
    tape = Tape(program, n, slots, shared, initial, states)
    return _from_tiles(values, program.n_observables)[:n], tape


def reverse(
    tape: Tape, cotangent: FloatArray, *, rows_gradient: bool, threads: int = 1
) -> SlotGradients:
    """Σ_o cotangent[i, o] ∂⟨O_o⟩/∂slot for each row i of the tape.

    Args:
        cotangent: (N, O).
        rows_gradient: also for the row angles and amplitudes; else those are zeros and None.
    """
    program, tiles = tape.program, len(tape.slots)
    gradients = np.zeros_like(tape.slots)
    through_start = rows_gradient and program.from_amplitudes
    initial = np.empty_like(tape.initial) if through_start else _none(program)
    packed = _to_tiles(np.asarray(cotangent, np.float64), tiles)
    stop, wanted = _aim(program, rows_gradient)
    arguments = _arguments(program)

    def run(first: int, last: int) -> None:
        sweep.reverse(
            *arguments, tape.slots, tape.shared, tape.initial, first, last, tape.states, packed,
            stop, wanted, gradients, initial,
        )  # fmt: skip

    _over_tiles(run, tiles, threads)
    amplitudes = None
    if through_start:
        planes = _from_tiles(initial.reshape(2 * tiles, program.dim * LANES), program.dim)
        planes = planes.reshape(tiles, 2, LANES, program.dim)
        amplitudes = (planes[:, 0] + 1j * planes[:, 1]).reshape(-1, program.dim)[: tape.n_rows]
    return SlotGradients(_from_tiles(gradients, program.n_slots)[: tape.n_rows], amplitudes)


def compile_kernels() -> None:
    """Compile the kernels now and keep them on disk; otherwise the first training waits for it."""
    template = Template(1, (Op("ry", (0,), (param(0),)),), n_params=1)
    program = compile_program(template, z_observables(1))
    rows, params = np.zeros((1, 0)), np.zeros(1)
    _, tape = forward(program, rows, params, None, keep=True)
    reverse(tape, np.ones((1, 1)), rows_gradient=False)


@lru_cache(maxsize=128)
def _aim(program: Program, rows_gradient: bool) -> tuple[int, AnyArray]:
    """Where the reverse sweep stops, and whose gradients it takes."""
    return program.last_pass_to_undo(rows_gradient), program.wanted_gates(rows_gradient)


@lru_cache(maxsize=128)
def _arguments(program: Program) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """A program as the two tuples that the sweeps unpack (in their order)."""
    p = program
    return (
        (
            p.n_qubits, p.code, p.n_leading, p.elements, p.matrices, p.gates, p.affine, p.cycles,
            p.cycle_starts, p.phases, p.run_has_row,
        ),
        (p.terms, p.coefficients),
    )  # fmt: skip


def _bind(
    program: Program, rows: FloatArray, params: FloatArray, tiles: int
) -> tuple[FloatArray, FloatArray]:
    """All slots by tile (tiles, slots · 8), and once with the shared parameters (slots · 8,)."""
    slots = np.zeros((tiles * LANES, program.n_slots))
    slots[: len(rows), : program.n_rows] = rows
    slots[: len(rows), program.n_rows :] = params
    shared = np.zeros((program.n_slots, LANES))
    if not program.params_per_row:
        shared[program.n_rows :] = params[:, None]
    return _to_tiles(slots, tiles), shared.ravel()


def _to_tiles(values: FloatArray, tiles: int) -> FloatArray:
    """(N, …, M) to (tiles, …, M · 8), the eight rows of a tile side by side, zeros at the end."""
    inner = values.shape[1:]
    padded = np.zeros((tiles * LANES, math.prod(inner)))
    padded[: len(values)] = values.reshape(padded[: len(values)].shape)
    lanes_last = padded.reshape(tiles, LANES, padded.shape[1]).transpose(0, 2, 1)
    packed = np.ascontiguousarray(lanes_last)
    return packed.reshape(tiles, *inner[:-1], inner[-1] * LANES)


def _from_tiles(values: FloatArray, width: int) -> FloatArray:
    """(tiles, M · 8) back to (tiles · 8, M)."""
    rows_first = values.reshape(len(values), width, LANES).transpose(0, 2, 1)
    return np.ascontiguousarray(rows_first).reshape(len(values) * LANES, width)


def _planes(amplitudes: AnyArray) -> FloatArray:
    """Complex (N, 2^n) as real and imaginary parts (N, 2, 2^n)."""
    return np.stack([amplitudes.real, amplitudes.imag], axis=1).astype(np.float64)


def _none(program: Program) -> FloatArray:
    return np.empty((0, 2, program.dim * LANES))


def _over_tiles(run: Callable[[int, int], None], tiles: int, threads: int) -> None:
    """Call `run` on ranges of tiles, one range a thread."""
    shares = min(threads, tiles)
    if shares <= 1:
        run(0, tiles)
        return
    edges = [tiles * share // shares for share in range(shares + 1)]
    futures = [_pool(threads).submit(run, a, b) for a, b in pairwise(edges)]
    for future in futures:
        future.result()


@lru_cache(maxsize=4)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="qstore_ray-simulate")

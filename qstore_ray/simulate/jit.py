"""The fallback engine: numba kernels, for machines where the C engine was not built.

The same functions as `native.py`. `forward` returns the values (N, O) and a `Tape`; `reverse` takes
the tape and a cotangent (N, O) to gradients. The tape keeps the final states while they fit in
`KEPT_BYTES`; otherwise `reverse` computes each tile's state again. So memory stays bounded at any N
and any depth: two states and one real field of eight rows a thread, and the phase tables that all
threads share.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from qstore_ray.circuits.observable import z_observables
from qstore_ray.circuits.template import Op, Template, param
from qstore_ray.simulate import jit_bind, jit_start, jit_sweep, jit_turns
from qstore_ray.simulate.compiler import compile_program
from qstore_ray.simulate.engines import TABLE_BYTES, Precision
from qstore_ray.simulate.program import Program, SlotGradients
from qstore_ray.simulate.schedule import schedule
from qstore_ray.simulate.simd import LANES, PAIR
from qstore_ray.simulate.threads import buffer, over_tiles, scratch

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, ComplexArray, FloatArray, IntArray

KEPT_BYTES = 128 * 2**20
"""Final states are kept for the reverse sweep up to this many bytes."""
CHUNK_BYTES = 8 * 2**20
"""States that are asked for are computed about this many bytes at a time."""

_NEAR = 3
"""Base vectors whose sums are in a table."""

_NO_ROWS, _NO_FLAGS = np.empty((0, 0)), np.empty(0, bool)
_NO_AMPLITUDES = np.empty((0, 0), np.complex128)


class Loaded(NamedTuple):
    """A program ready for the kernels, and the sizes of what they need."""

    program: tuple[Any, ...]
    n_passes: int
    n_tables: int
    state_size: int
    scratch_size: int


@dataclass(slots=True)
class Tape:
    """What `reverse` needs of a forward sweep over N rows.

    `kept` holds their final states, or nothing. A reverse sweep turns these back into initial ones
    and takes them from the tape: a second one computes them again.
    """

    program: Program
    loaded: Loaded
    arguments: tuple[Any, ...]
    kept: FloatArray
    n: int


def forward(
    program: Program,
    rows: FloatArray,
    params: FloatArray,
    amplitudes: AnyArray | None,
    *,
    keep: bool,
    threads: int = 1,
    precision: Precision = "complex128",  # noqa: ARG001  # the engines take the same arguments
) -> tuple[FloatArray, Tape]:
    """Expectation values (N, O) of rows (N, A) and params (P,) or (N, P), and the tape.

    Args:
        keep: whether a reverse sweep will follow.
        threads: how many threads share the tiles.
        precision: there are kernels for complex128 only.
    """
    fits = 8 * -(-len(rows) // LANES) * load(program).state_size <= KEPT_BYTES
    return _forward(program, rows, params, amplitudes, keep=keep and fits, threads=threads)


def _forward(
    program: Program,
    rows: FloatArray,
    params: FloatArray,
    amplitudes: AnyArray | None,
    *,
    keep: bool,
    threads: int,
) -> tuple[FloatArray, Tape]:
    k = load(program)
    n = len(rows)
    tiles = -(-n // LANES)
    rows = _plain(rows, np.float64)
    params = np.atleast_2d(_plain(params, np.float64))
    if amplitudes is None:
        amplitudes = np.empty((0, program.dim), np.complex128)
    amplitudes = _plain(amplitudes, np.complex128)
    bound = _bind(program, k, rows, params)
    kept = _numbers(tiles * k.state_size if keep else 0)
    values = np.empty((n, program.n_observables))
    arguments = (k.program, bound, rows, params, amplitudes)

    def run(first: int, last: int) -> None:
        jit_sweep.sweep(
            *arguments, first, last, kept, _scratch(k), False, False, values,
            _NO_ROWS, 0, _NO_FLAGS, _NO_ROWS, _NO_AMPLITUDES,
        )  # fmt: skip

    over_tiles(run, tiles, threads)
    return values, Tape(program, k, arguments, kept, n)


def reverse(
    tape: Tape, cotangent: FloatArray, *, rows_gradient: bool, threads: int = 1
) -> SlotGradients:
    """Σ_o cotangent[i, o] ∂⟨O_o⟩/∂slot for each row i of the tape.

    Args:
        cotangent: (N, O).
        rows_gradient: also for the row angles and amplitudes; else those are zeros and None.
    """
    program, k = tape.program, tape.loaded
    gradients = np.zeros((tape.n, program.n_slots))
    through_start = rows_gradient and program.from_amplitudes
    amplitudes = np.empty((tape.n if through_start else 0, program.dim), np.complex128)
    cotangent = _plain(cotangent, np.float64)
    stop, wanted = _aim(program, rows_gradient)
    kept, tape.kept = tape.kept, _numbers(0)

    def run(first: int, last: int) -> None:
        jit_sweep.sweep(
            *tape.arguments, first, last, kept, _scratch(k), True, bool(len(kept)), _NO_ROWS,
            cotangent, stop, wanted, gradients, amplitudes,
        )  # fmt: skip

    over_tiles(run, -(-tape.n // LANES), threads)
    return SlotGradients(gradients, amplitudes if through_start else None)


def states(
    program: Program,
    rows: FloatArray,
    params: FloatArray,
    amplitudes: AnyArray | None,
    *,
    threads: int = 1,
    precision: Precision = "complex128",  # noqa: ARG001  # the engines take the same arguments
) -> ComplexArray:
    """Final states (N, 2^n) of a program of `compile_states`."""
    found = np.empty((len(rows), program.dim), complex)
    at_once = max(1, CHUNK_BYTES // (8 * load(program).state_size)) * LANES
    for first in range(0, len(rows), at_once):
        chunk = slice(first, first + at_once)
        own = params[chunk] if params.ndim == 2 else params
        start = None if amplitudes is None else amplitudes[chunk]
        _, tape = _forward(program, rows[chunk], own, start, keep=True, threads=threads)
        vectors = tape.kept.reshape(-1, program.dim, 2, LANES).transpose(0, 3, 1, 2)
        parts = np.ascontiguousarray(vectors.reshape(-1, program.dim, 2)[: tape.n])
        found[chunk] = parts.view(np.complex128)[..., 0]
    return found


def compile_kernels() -> None:
    """Compile the kernels now and keep them on disk; otherwise the first training waits for it."""
    template = Template(1, (Op("ry", (0,), (param(0),)),), n_params=1)
    program = compile_program(template, z_observables(1))
    forward(program, np.zeros((1, 0)), np.zeros(1), None, keep=False)


@lru_cache(maxsize=128)
def load(program: Program) -> Loaded:
    """The program's passes and arrays as the kernels take them."""
    found = schedule(program, 0, TABLE_BYTES // (16 * program.dim))
    passes, tables, bases = _walks(found.passes, found.vectors.astype(np.int64) * PAIR)
    kinds = np.full(len(program.x), jit_bind.LEADING, np.int64)
    for kind, first, last in program.layers:
        kinds[first:last] = kind
    p = program
    arrays = (
        p.x, p.z, p.offsets, p.term_starts, p.slots, p.scales, p.by_row, kinds, p.leading_starts,
        p.layers, p.terms, p.coefficients, passes, tables, bases, found.order,
    )  # fmt: skip
    # ψ, λ and field; angles and gradients; qubits; overlaps: `_divided` in jit_sweep.py.
    size = p.dim * (2 * PAIR + LANES) + len(p.x) * (PAIR + LANES)
    size += p.n_qubits * jit_start.QUBIT + 3 * PAIR
    return Loaded((p.n_qubits, *arrays), len(passes), found.n_tables, p.dim * PAIR, size)


def _walks(scheduled: IntArray, vectors: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """Passes as `jit_turns.py` walks them, their index tables, and their base vectors."""
    passes: list[list[int]] = []
    tables: list[IntArray] = []
    bases: list[int] = []
    for kind, layer, count, _, order, start, n_bases, _, general, phases, table in scheduled:
        found = [int(vector) for vector in vectors[start : start + count + n_bases]]
        free = found[count:]
        near, far = _span(free[-_NEAR:]), free[:-_NEAR]
        kind_of_walk = count + 4 * general
        passes.append(
            [kind, layer, phases, table, kind_of_walk, len(near), order, len(bases), len(far)]
        )
        tables.append(np.stack([_padded(near), _padded(_span(found[:count]))]))
        bases += [*far, 0]  # one behind the last is read, though not used
    return (
        np.array(passes, np.int64).reshape(-1, 9),
        np.array(tables, np.int64).ravel(),
        np.array(bases, np.int64),
    )


def _padded(numbers: IntArray) -> IntArray:
    return np.pad(numbers, (0, jit_turns.ROW - len(numbers)))


def _span(vectors: list[int]) -> IntArray:
    """All sums (exclusive or) of the vectors, in binary order."""
    found = np.zeros(1, np.int64)
    for vector in vectors:
        found = np.concatenate([found, found ^ vector])
    return found


def _bind(
    program: Program, k: Loaded, rows: FloatArray, params: FloatArray
) -> tuple[FloatArray, ...]:
    """What is the same for all rows: by_rotation, by_pass, signs of terms, phases."""
    by_rotation = np.empty((4, len(program.x)))
    by_pass = np.empty((2, k.n_passes + 1))
    term_signs = np.empty(len(program.terms))
    width = max(program.dim, LANES)
    phases, field = _numbers(k.n_tables * 2 * width), np.empty(width)
    jit_bind.bind(k.program, rows, params, by_rotation, by_pass, term_signs, phases, field)
    return by_rotation, by_pass, term_signs, phases


@lru_cache(maxsize=128)
def _aim(program: Program, rows_gradient: bool) -> tuple[int, AnyArray]:
    """Where the reverse sweep stops, and whose gradients it takes."""
    return program.layers_to_undo(rows_gradient), program.wanted(rows_gradient)


def _plain(values: AnyArray, dtype: Any) -> AnyArray:
    """The values in the one layout that the kernels are compiled for; read-only ones are copied."""
    return np.require(values, dtype, ("C", "A", "W"))


def _numbers(size: int) -> FloatArray:
    return buffer(8 * size).view(np.float64)


def _scratch(k: Loaded) -> FloatArray:
    return scratch(8 * k.scratch_size)[: 8 * k.scratch_size].view(np.float64)

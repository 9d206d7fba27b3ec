"""Whole states out of programs: what `frame.py` takes out of the way is put back.

A program (`compiler.py`) runs Pauli rotations only. Expectation values see no more; a state also
has

    what was renamed   CX, SWAP, X, Y, Z move and sign the basis states: C|j⟩ = i^p_j |k_j⟩, and the
                       circuit's state is C times the program's
    a global phase     P(θ) is exp(iθ/2) RZ(θ), S is exp(iπ/4) RZ(π/2), …; together the phase is a
                       sum of angles, the same for all amplitudes of a row

With both, states of different rows or parameters may be subtracted and differentiated.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from qstore_ray.circuits.lower import lower
from qstore_ray.circuits.template import Template
from qstore_ray.simulate.compile.compiler import compile_states
from qstore_ray.simulate.compile.frame import angle_sum
from qstore_ray.simulate.compile.rotations import AngleSum

if TYPE_CHECKING:
    from qstore_ray.simulate.engines.engines import Engine, Precision
    from qstore_ray.types import AnyArray, ComplexArray, FloatArray, IntArray

_ROWS_BYTES = 8 * 2**20

_EIGHTH = math.pi / 4
_PHASES_OF_FIXED = {
    "s": _EIGHTH,
    "sdg": -_EIGHTH,
    "t": _EIGHTH / 2,
    "tdg": -_EIGHTH / 2,
    "sx": _EIGHTH,
    "sxdg": -_EIGHTH,
    "cz": _EIGHTH,
}
"""Phase of a lowered gate over that of the rotations it is run as."""
_PHASES_OF_ANGLES = {"p": (0.5,), "u": (0.0, 0.5, 0.5), "cp": (0.25,)}
"""Phase of a gate over that of the gates it is lowered to: the sum of its angles times these."""


def prepare_states(
    engine: Engine,
    template: Template,
    rows: FloatArray,
    params: FloatArray,
    amplitudes: AnyArray | None,
    *,
    threads: int = 1,
    precision: Precision = "complex128",
) -> ComplexArray:
    """|ψ_i⟩ (N, 2^n) of rows (N, A) and params (P,) or (N, P), global phase included."""
    program = compile_states(template, params.ndim == 2)
    found = engine.states(program, rows, params, amplitudes, threads=threads, precision=precision)
    source, factors = renaming(template)
    phases = _global_phases(template, rows, params)
    if not found.size:
        return found
    size = max(1, _ROWS_BYTES // found[0].nbytes)
    for first in range(0, len(found), size):
        chunk = slice(first, first + size)
        moved = found[chunk][:, source]
        moved *= factors
        moved *= np.exp(1j * phases[chunk, None])
        found[chunk] = moved
    return found


@lru_cache(maxsize=128)
def renaming(template: Template) -> tuple[IntArray, ComplexArray]:
    """Amplitude k of the circuit's state is factors[k] times amplitude source[k] of the program's.

    That is but for the global phase; the factors are powers of i.

    Every basis state is walked through the gates that only rename.
    """
    start = np.arange(2**template.n_qubits)
    at, powers = start.copy(), np.zeros_like(start)  # now i^powers |at⟩
    for op in lower(template).ops:
        first = at >> op.qubits[0] & 1
        if op.gate == "cx":
            at ^= first << op.qubits[1]
        elif op.gate == "swap":
            differ = first ^ (at >> op.qubits[1] & 1)
            at ^= differ << op.qubits[0] | differ << op.qubits[1]
        elif op.gate in ("z", "h"):  # H = RY(π/2) Z
            powers += 2 * first
        elif op.gate in ("x", "y"):
            if op.gate == "y":  # Y|0⟩ = i|1⟩, Y|1⟩ = −i|0⟩
                powers += 1 + 2 * first
            at ^= 1 << op.qubits[0]
    source = np.empty_like(start)
    source[at] = start
    return source, np.array([1, 1j, -1, -1j])[powers[source] % 4]


def _global_phases(template: Template, rows: FloatArray, params: FloatArray) -> FloatArray:
    """The phase (N,) of each row's state over that of the rotations, in radians."""
    total = _phase(template)
    phases = np.full(len(rows), total.offset)
    for slot, scale in total.terms:
        column = slot - template.n_rows
        phases += scale * (rows[:, slot] if column < 0 else params[..., column])
    return phases


@lru_cache(maxsize=128)
def _phase(template: Template) -> AngleSum:
    total = AngleSum(sum(_PHASES_OF_FIXED.get(op.gate, 0.0) for op in lower(template).ops))
    for op in template.ops:
        factors = _PHASES_OF_ANGLES.get(op.gate, ())
        for angle, factor in zip(op.angles, factors, strict=False):  # most gates have no factors
            total = total.plus(angle_sum(angle, template.n_rows).scaled(factor))
    return total

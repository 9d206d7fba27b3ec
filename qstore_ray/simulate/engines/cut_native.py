"""A circuit in two programs (`compile/tail.py`) on the C kernels.

    tail forward   its final states from each of the 2^k basis states: A_o = U†O_oU
    head forward   a density matrix ρ of the kept qubits for each row, ⟨O_o⟩ = Tr(A_o ρ)
    head reverse   from λ = Σ_o w_o A_o ψ, as ever; Σ_rows w_o ρ = R_o of each block on the way
    tail reverse   one small reverse sweep a block, from ψ = U and λ = Σ_o O_o U R_o

Threads share the rows of the head; the matrices of the tail are as small as a row's ρ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from qstore_ray.simulate import _kernels
from qstore_ray.simulate.compile.tail import BLOCK, CutProgram
from qstore_ray.simulate.engines import native
from qstore_ray.simulate.engines.native import BlockGradients, NativeTape
from qstore_ray.simulate.engines.threads import buffer, scratch

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, ComplexArray, FloatArray


@dataclass(slots=True)
class CutTape:
    """What `reverse` needs: the tape of the head, and the tail's bound angles and final states."""

    cut: CutProgram
    head: NativeTape
    tail: AnyArray


def forward(
    cut: CutProgram,
    rows: FloatArray,
    params: FloatArray,
    amplitudes: AnyArray | None,
    *,
    threads: int = 1,
) -> tuple[FloatArray, CutTape]:
    """Expectation values (N, O) of rows (N, A) and params (P,), and the tape."""
    tail = cut.tail
    k = native.load(tail)
    memory = buffer(k.shared_bytes + -(-tail.dim // k.tile_rows) * k.state_bytes)
    observables = np.empty((tail.n_observables, tail.dim, tail.dim), complex)
    params = np.ascontiguousarray(params, np.float64)
    _tail(cut, memory, params, observables)
    values, head = native.forward(
        cut.head, rows, params, amplitudes, keep=True, threads=threads, observables=observables
    )
    return values, CutTape(cut, head, memory)


def reverse(
    tape: CutTape, cotangent: FloatArray, *, rows_gradient: bool, threads: int = 1
) -> BlockGradients:
    """Gradients of the rows' slots, of the parameters summed over blocks, and of the amplitudes."""
    tail = tape.cut.tail
    blocks = -(-len(cotangent) // BLOCK)
    weighted = np.zeros((blocks, tail.n_observables, tail.dim, tail.dim), complex)
    found = native.reverse_blocks(
        tape.head, cotangent, rows_gradient=rows_gradient, threads=threads, weighted=weighted
    )
    by_block = np.zeros((blocks, tail.n_params))
    _tail(tape.cut, tape.tail, tape.head.params, by_block, weighted)
    return found._replace(params=found.params + by_block)


def _tail(
    cut: CutProgram,
    memory: AnyArray,
    params: FloatArray,
    found: AnyArray,
    weighted: ComplexArray | None = None,
) -> None:
    """Bind the tail and fill in its observables, or its gradients from density matrices."""
    k, tail = native.load(cut.tail), cut.tail
    stop, wanted = native.aim(tail, False)
    room = scratch(k.scratch_bytes + k.state_bytes + 64 * (1 + tail.n_observables))
    _kernels.tail(
        weighted is not None, k.n_order, stop, 0 if weighted is None else len(weighted), k.header,
        memory, params, room, weighted, wanted, found,
    )  # fmt: skip

"""The short list of passes that an engine makes over the state in place of the gates.

A gate-by-gate simulator reads and writes all 2^n amplitudes for every gate. Most gates need no pass
of their own, and `compiler.py` finds those:

- neighbouring single-qubit gates on one qubit become one RUN: one 2×2 matrix, one pass. The reverse
  sweep gets the gradients of all angles in the run from one 2×2 matrix M_ab = Σ conj(λ_a) ψ_b,
  pulled back through the run's gates;
- CX and SWAP next to each other become one PERM, a permutation of amplitudes;
- CZ and other diagonal gates without parameters become one DIAG, a vector of phases;
- RZZ(θ) is a ZROT: amplitude j turns by ∓θ/2 by the parity of j's bits under a mask.

A RUN moves in front of everything that does not touch its qubit. So entanglers come together, and
the first RUN of each qubit ends up at the very beginning, where the state is still a product and
costs about 2^(n+1) operations instead of n passes (`n_leading` counts these runs).

A program is plain arrays, so that a compiled kernel can execute it in one call.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from qstore_ray.types import ComplexArray, FloatArray, IntArray

    BoolArray = NDArray[np.bool_]

RUN, PERM, DIAG, ZROT = 0, 1, 2, 3
"""Kinds of pass (column 0 of `Program.code`)."""
MATRIX, RX, RY, RZ = 0, 1, 2, 3
"""Kinds of element of a run (column 0 of `Program.elements`)."""


@dataclass(frozen=True, eq=False)
class Program:
    """A compiled circuit with its observables, as arrays.

    Attributes:
        code: (passes, 4) kind and three operands. RUN: qubit, first and last + 1 element.
            PERM: first and last + 1 cycle. DIAG: index of the phase vector. ZROT: mask, gate.
        elements: (elements, 2) kind and the number of the matrix or of the gate, in order.
        matrices: (matrices, 8) fixed 2×2 matrices as re/im of u00, u01, u10, u11.
        gates: (gates, 2) for each angle whether it differs from row to row, and its slot: the row's
            A angles come first, the P parameters after them. `affine` (gates, 2) scale and offset.
        cycles, cycle_starts: amplitude c[i] takes the value of c[i + 1], the last of the first.
        phases: (diagonals, 2, 2^n) real and imaginary parts.
        run_has_row: (passes,) whether a RUN's matrix differs from row to row.
        n_leading: the first passes, all RUNs on different qubits, that act on |0…0⟩.
        terms: (terms, 4) x mask, z mask, power of i, observable; `coefficients` (terms,).
    """

    n_qubits: int
    n_rows: int
    n_params: int
    n_observables: int
    from_amplitudes: bool
    params_per_row: bool
    code: IntArray
    elements: IntArray
    matrices: FloatArray
    gates: IntArray
    affine: FloatArray
    cycles: IntArray
    cycle_starts: IntArray
    phases: FloatArray
    run_has_row: IntArray
    n_leading: int
    terms: IntArray
    coefficients: FloatArray

    @property
    def dim(self) -> int:
        """2^n, the number of amplitudes."""
        return int(2**self.n_qubits)

    @property
    def n_slots(self) -> int:
        """A + P: what is bound for each row."""
        return self.n_rows + self.n_params

    def wanted_gates(self, rows_gradient: bool) -> BoolArray:
        """For each angle whether its gradient is asked for: parameters always, row angles if so."""
        return (self.gates[:, 1] >= self.n_rows) | rows_gradient

    def last_pass_to_undo(self, rows_gradient: bool) -> int:
        """The pass at which the reverse sweep may stop; the number of passes if there is none."""
        if rows_gradient and self.from_amplitudes:
            return 0
        wanted = self.wanted_gates(rows_gradient)
        for index, (kind, _, first, last) in enumerate(self.code):
            if kind == RUN:
                kinds, refs = self.elements[first:last].T
                if wanted[refs[kinds != MATRIX]].any():
                    return index
            elif kind == ZROT and wanted[first]:
                return index
        return len(self.code)


class SlotGradients(NamedTuple):
    """Gradients of the N rows' slots (N, A + P) and of the initial amplitudes (N, 2^n) or None."""

    slots: FloatArray
    amplitudes: ComplexArray | None

"""What an engine runs: a few layers of commuting Pauli rotations, as plain arrays.

A gate-by-gate simulator reads and writes all 2^n amplitudes for every gate. `frame.py` and
`passes.py` leave much less to do:

    start    a product state, from each qubit's own first rotations (or the row's amplitudes)
    PHASES   all phase rotations of a layer: amplitude j is multiplied by exp(iφ_j), where
             φ_j = −½ Σ_g θ_g (−1)^|j∧z_g| is one Walsh–Hadamard transform of the angles
    TURNS    real rotations in different directions: a pair of amplitudes j and j ⊕ x_g turns by
             θ_g/2, the one with even |j∧z_g| first. x_g and z_g are dual (|x_g∧z_h| is odd for
             g = h and even otherwise), so the order does not matter
    measure  the observables, written in the frame at the end

CX, SWAP and Pauli gates cost nothing at all; H is one real turn; RZ, CZ and the like share one
pass for a whole layer. The reverse sweep gets the gradients of a layer's phases from one transform
of Im(conj(λ_j) ψ_j), and those of its turns as it undoes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from qstore_ray.types import ComplexArray, FloatArray, IntArray

    BoolArray = NDArray[np.bool_]

PHASES, TURNS = 0, 1
"""Kinds of layer (column 0 of `Program.layers`)."""


@dataclass(frozen=True, eq=False)
class Program:
    """A compiled circuit with its observables, as arrays; G rotations in the order of execution.

    Attributes:
        x, z: (G,) masks of the rotations' Pauli strings.
        offsets: (G,) constant part of each angle.
        term_starts: (G + 1,) rotation g adds scales[k] · slot[slots[k]] for k from term_starts[g]
            to term_starts[g + 1]. The row's A slots come first, the P parameters after them.
        by_row: (G,) whether an angle differs from row to row.
        leading_starts: (n + 1,) the first rotations belong to the start, by qubit.
        layers: (layers, 3) kind, first and last + 1 rotation.
        terms: (terms, 4) x mask, z mask, power of i, observable; `coefficients` (terms,).
        parts: (parts, 5) first qubit, qubits, first layer, and the two parts that it is made of, or
            −1. Layers belong to the last part that begins before them; a part's masks stay within
            its qubits, and the last part is the whole circuit. An engine may run a part in a state
            of its own (`parts.py`), or all layers in order on the whole.
        kept: (k, 3) x mask and z mask of each qubit that is kept at the end, and whether the sign
            of X (1), of Z (2) or of both is −1. Empty, unless `tail.py` cut the circuit.
    """

    n_qubits: int
    n_rows: int
    n_params: int
    n_observables: int
    from_amplitudes: bool
    params_per_row: bool
    x: IntArray
    z: IntArray
    offsets: FloatArray
    term_starts: IntArray
    slots: IntArray
    scales: FloatArray
    by_row: BoolArray
    leading_starts: IntArray
    layers: IntArray
    terms: IntArray
    coefficients: FloatArray
    parts: IntArray
    kept: IntArray

    @property
    def dim(self) -> int:
        """2^n, the number of amplitudes."""
        return int(2**self.n_qubits)

    @property
    def n_slots(self) -> int:
        """A + P: what is bound for each row."""
        return self.n_rows + self.n_params

    @property
    def n_leading(self) -> int:
        """Rotations that belong to the product state at the start."""
        return int(self.leading_starts[-1])

    def layer_qubits(self) -> IntArray:
        """The qubits (layers,) of the state that each layer runs on."""
        import numpy as np

        after = np.searchsorted(self.parts[:, 2], np.arange(len(self.layers)), side="right")
        found: IntArray = self.parts[after - 1, 1]
        return found

    def wanted(self, rows_gradient: bool) -> BoolArray:
        """For each rotation whether its gradient is asked for: parameters always, rows if so."""
        wanted = (self.slots >= self.n_rows) | rows_gradient
        counts = [wanted[a:b].any() for a, b in zip(*self._edges(), strict=True)]
        found: BoolArray = _bools(counts)
        return found

    def layers_to_undo(self, rows_gradient: bool) -> int:
        """The layer at which the reverse sweep may stop; −1: it must reach the start itself."""
        if rows_gradient and self.from_amplitudes:
            return -1
        wanted = self.wanted(rows_gradient)
        if wanted[: self.n_leading].any():
            return -1
        for index, (_, first, last) in enumerate(self.layers):
            if wanted[first:last].any():
                return index
        return len(self.layers)

    def _edges(self) -> tuple[IntArray, IntArray]:
        return self.term_starts[:-1], self.term_starts[1:]


class SlotGradients(NamedTuple):
    """Gradients of the N rows' slots (N, A + P) and of the initial amplitudes (N, 2^n) or None."""

    slots: FloatArray
    amplitudes: ComplexArray | None


def _bools(values: list[np.bool_]) -> BoolArray:
    import numpy as np

    return np.array(values, bool)

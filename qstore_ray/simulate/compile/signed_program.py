"""A compiled circuit with a sign for each angle and each measured string: one trajectory a row."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from qstore_ray.simulate.compile.products import product_of_rows
from qstore_ray.simulate.compile.program import Program

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from qstore_ray.types import AnyArray, FloatArray, IntArray


class Site(NamedTuple):
    """Where errors may happen: on `qubits` (at most two), after the first `after` gates."""

    after: int
    qubits: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class SignedProgram:
    """A compiled circuit whose angles and strings have a sign for each row.

    C rotations can be flipped; T different Pauli strings are measured. A site of k qubits has 4^k
    outcomes: Σ_q 4^q · (0 for I, 1 for X, 2 for Z, 3 for Y on its qubit q).

    Attributes:
        program: its row slots are the A angles of the rows and the signed angles that depend on no
            parameter; its parameter slots, bound for each row, are the signed angles that do, and
            the P parameters. Its observables are the strings.
        n_by_rows: how many of the C rotations have their slot among the first; they are the first.
        offsets: (C,) constant part of each angle. row_scales (C, A) and param_scales (C, P) are
            what it adds of the slots.
        outcome_starts: (sites,) place of each site's outcomes in `flips`.
        flips: (outcomes, ⌈(C + T)/8⌉) which signs an outcome changes, as packed bits.
        weights: (T, O) the observables as sums of the strings.
    """

    program: Program
    n_by_rows: int
    offsets: FloatArray
    row_scales: FloatArray
    param_scales: FloatArray
    outcome_starts: IntArray
    flips: NDArray[np.uint8]
    weights: FloatArray

    @property
    def n_signs(self) -> int:
        """C + T."""
        return len(self.offsets) + len(self.weights)

    def signs(
        self, rows: IntArray, outcomes: IntArray, n_rows: int
    ) -> tuple[FloatArray, FloatArray]:
        """Signs of the angles (N, C) and of the strings (N, T) for errors that happened.

        Args:
            rows: (E,) the row of each error.
            outcomes: (E,) the place of each error in `flips`.
            n_rows: N.
        """
        packed = np.zeros((n_rows, self.flips.shape[1]), np.uint8)
        np.bitwise_xor.at(packed, rows, self.flips[outcomes])
        bits = np.unpackbits(packed, axis=1, count=self.n_signs)
        signs: FloatArray = 1.0 - 2.0 * bits.astype(np.float64)
        return signs[:, : len(self.offsets)], signs[:, len(self.offsets) :]

    def bind(
        self, signs: FloatArray, rows: AnyArray, params: AnyArray
    ) -> tuple[AnyArray, AnyArray]:
        """The program's row slots (N, A + …) and parameters (N, … + P) for signed angles."""
        angles = self.offsets + product_of_rows(params, self._param_scales_t)
        if self._any_row_scale:
            angles = angles + product_of_rows(rows, self._row_scales_t)
        signed, first = signs * angles, self.n_by_rows
        by_row = np.empty((len(rows), self.program.n_rows))
        by_row[:, : rows.shape[1]] = rows
        by_row[:, rows.shape[1] :] = signed[:, :first]
        by_param = np.empty((len(rows), self.program.n_params))
        moved = signed.shape[1] - first
        by_param[:, :moved] = signed[:, first:]
        by_param[:, moved:] = params
        return by_row, by_param

    def unbind(
        self, signs: FloatArray, slots: FloatArray, *, rows_gradient: bool
    ) -> tuple[FloatArray, FloatArray]:
        """Gradients of the rows (N, A) and parameters (N, P) from those of the program's slots.

        Args:
            rows_gradient: without it those of the rows are zeros.
        """
        n_rows, n_params = self.row_scales.shape[1], self.param_scales.shape[1]
        angles = slots[:, n_rows : n_rows + signs.shape[1]] * signs
        by_params = slots[:, slots.shape[1] - n_params :] + product_of_rows(
            angles, self.param_scales
        )
        if not rows_gradient:
            return np.zeros((len(slots), n_rows)), by_params
        by_rows = slots[:, :n_rows] + product_of_rows(angles, self.row_scales)
        return by_rows, by_params

    @cached_property
    def _row_scales_t(self) -> FloatArray:
        return np.ascontiguousarray(self.row_scales.T)

    @cached_property
    def _param_scales_t(self) -> FloatArray:
        return np.ascontiguousarray(self.param_scales.T)

    @cached_property
    def _any_row_scale(self) -> bool:
        return bool(self.row_scales.any())

"""A compiled circuit with a sign for each angle and each measured string: one trajectory a row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from qstore_ray.simulate.compile.program import Program

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from qstore_ray.types import FloatArray, IntArray

WORDS = 4
"""Numbers that one step of the generator's counter gives: a row draws a multiple of them."""


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


@dataclass(frozen=True, eq=False)
class ErrorTable:
    """The errors of S sites, with their probabilities.

    Attributes:
        any_error: (S,) the probability of an error at each site.
        outcomes: (E,) place in `SignedProgram.flips` of every error of every site, site by site.
        upper: (E,) site + cumulative probability of the errors of a site up to this one: of a
            uniform number u below `any_error` the error is the first with site + u < upper.
    """

    any_error: FloatArray
    outcomes: IntArray
    upper: FloatArray


class DrawnErrors(NamedTuple):
    """Errors that happened: the row of each (E,), ascending, and its place in `flips` (E,)."""

    rows: IntArray
    outcomes: IntArray


class SignedBinding(NamedTuple):
    """N rows with errors, as the program's slots.

    Attributes:
        signs: (N, C + T) of the angles, then of the strings.
        rows: (N, A + …) the row slots. params: (N, … + P) the parameter slots.
    """

    signs: FloatArray
    rows: FloatArray
    params: FloatArray

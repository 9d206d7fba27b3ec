"""Readout inversion over the bit strings that were read, and no others.

The confusion matrix of m qubits is restricted to the K strings of a row and basis, with columns
that add up to 1 again: Nation, Kang, Sundaresan & Gambetta 2021 (PRX Quantum 2, 040326). With
A p = read, the value of w · p is (A^-T w) · read: each outcome gets a corrected worth, and means
and variances follow as for any counts. For many strings A is never stored: products with it are
computed by blocks, and BiCGSTAB (van der Vorst 1992) solves the system in a few steps, because A
is close to the identity.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from qstore_ray.backends.base import Estimates, Pullback
from qstore_ray.backends.counts import OutcomeCounts
from qstore_ray.backends.grouping import MeasuredBasis
from qstore_ray.backends.mitigation.calibration import ReadoutCalibration
from qstore_ray.backends.mitigation.calibration_errors import (
    inside,
    outcome_derivatives,
    with_shared_errors,
)
from qstore_ray.backends.mitigation.config import MitigationConfig, MitigationCost, readout_cost
from qstore_ray.backends.mitigation.inverse_readout import ReadoutMap
from qstore_ray.backends.mitigation.runner import CircuitRun, DirectRunner
from qstore_ray.errors import BackendError

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, FloatArray

MOST_STORED = 512
"""Strings whose matrix is stored and solved directly."""
_BLOCK = 256
"""Rows of the matrix that are computed at a time."""
_MOST_STEPS = 200
_TOLERANCE = 1e-10


class MatrixFreeRunner:
    """Values of the distribution over the observed strings that explains what was read."""

    def __init__(self, inner: DirectRunner, config: MitigationConfig) -> None:
        self._inner, self._config = inner, config
        self.calibration = ReadoutCalibration(inner, config)

    def check(self, asked: CircuitRun) -> None:
        """See `Runner`: whether there are counts, and a readout that says something."""
        self._inner.check_counts()
        ReadoutMap.of(self.calibration.expected(asked.circuit))
        self.calibration.check(asked.circuit, sampled=True)

    def run(self, asked: CircuitRun) -> Estimates:
        """See `Runner`."""
        readout = self.calibration.readout(asked.circuit, sampled=True, shots=asked.shots)
        worths: list[FloatArray] = []

        def values(basis: MeasuredBasis, bits: AnyArray) -> FloatArray:
            measured = readout.confusions[list(basis.qubits)]
            worths.append(corrected_values(measured, bits, basis.values(bits)))
            return worths[-1]

        counts = self._inner.counts(asked)
        found = counts.estimates(values)
        if readout.errors is None:
            return found
        slopes = np.zeros((*found.values.shape, len(readout.errors)))
        in_order = iter(worths)
        for basis, rows in zip(counts.bases, counts.outcomes, strict=True):
            measured = readout.confusions[list(basis.qubits)]
            places = [2 * q + which for q in basis.qubits for which in (0, 1)]
            for row, outcomes in enumerate(rows):
                slopes[row][:, places] += worth_slopes(measured, outcomes, next(in_order))
        return with_shared_errors(found, slopes * readout.errors)

    def vjp(self, asked: CircuitRun, *, rows_gradient: bool) -> tuple[Estimates, Pullback]:
        """Counts have no exact gradient.

        Raises:
            BackendError: always.
        """
        raise BackendError(
            "counts have no exact gradient",
            field="mitigation.readout",
            value="matrix_free",
            fix="Take gradient = 'parameter_shift', or readout = 'inverse'.",
        )

    def cost(self) -> MitigationCost:
        """See `Runner`."""
        return readout_cost(self._config).times(self._inner.cost())


def corrected_values(
    confusions: FloatArray, bits: AnyArray, values: FloatArray, most_stored: int = MOST_STORED
) -> FloatArray:
    """What K different outcomes are worth (K, O), after inversion of the readout.

    Args:
        confusions: of the m measured qubits (m, 2, 2).
        bits: of the outcomes (K, m).
        values: of the outcomes read rightly (K, O).
        most_stored: outcomes up to which the matrix is stored.

    Raises:
        BackendError: a readout that cannot be inverted.
    """
    matrix = _TransposedConfusion(confusions, bits)
    if len(bits) <= most_stored:
        try:
            return np.linalg.solve(matrix.rows(slice(None)), values).astype(np.float64)
        except np.linalg.LinAlgError as exc:
            raise _singular_error(confusions) from exc
    columns = [_solved(matrix.times, values[:, k], confusions) for k in range(values.shape[1])]
    return np.stack(columns, axis=1)


def worth_slopes(
    confusions: FloatArray,
    outcomes: OutcomeCounts,
    worth: FloatArray,
    most_stored: int = MOST_STORED,
) -> FloatArray:
    """Derivatives (O, 2m) of the mean worth by P(1|0) and P(0|1) of each measured qubit.

    Args:
        worth: of the outcomes, from `corrected_values` (K, O).
        most_stored: outcomes up to which the matrix is solved directly.
    """
    bits, confusions = outcomes.bits.astype(np.int64), inside(confusions)
    matrix = _TransposedConfusion(confusions, bits)
    frequencies = outcomes.counts / outcomes.counts.sum()
    if len(bits) <= most_stored:
        quasi = np.linalg.solve(matrix.rows(slice(None)).T, frequencies)
    else:
        quasi = _solved(matrix.transposed_times, frequencies, confusions)
    slopes = np.zeros((worth.shape[1], 2 * len(confusions)))
    for part in matrix.parts():
        raw = matrix.raw(part)
        slopes += outcome_derivatives(raw, bits, part, worth, quasi[part], confusions)
    return slopes


class _TransposedConfusion:
    """A^T of the observed strings; row j: how string j is read, restricted to them."""

    def __init__(self, confusions: FloatArray, bits: AnyArray) -> None:
        self._confusions, self._bits = confusions, bits.astype(np.int64)

    def raw(self, which: slice) -> FloatArray:
        """Some rows (R, K) with the probabilities of the observed strings alone."""
        prepared = self._bits[which]
        found = np.ones((len(prepared), len(self._bits)))
        for q, confusion in enumerate(self._confusions):
            found *= confusion.T[prepared[:, q][:, None], self._bits[:, q]]
        return found

    def rows(self, which: slice) -> FloatArray:
        """Some rows (R, K), each of which adds up to 1."""
        found = self.raw(which)
        total: FloatArray = found / found.sum(axis=1, keepdims=True)
        return total

    def times(self, vector: FloatArray) -> FloatArray:
        """A^T v, without A."""
        return np.concatenate([self.rows(part) @ vector for part in self.parts()])

    def transposed_times(self, vector: FloatArray) -> FloatArray:
        """A v, without A."""
        found = np.zeros(len(self._bits))
        for part in self.parts():
            found += vector[part] @ self.rows(part)
        return found

    def parts(self) -> list[slice]:
        """Rows that are computed at a time."""
        return [slice(s, s + _BLOCK) for s in range(0, len(self._bits), _BLOCK)]


def _solved(
    times: Callable[[FloatArray], FloatArray], right: FloatArray, confusions: FloatArray
) -> FloatArray:
    """x with `times(x)` = right."""
    x = right.copy()
    residual = right - times(x)
    shadow, direction = residual.copy(), residual.copy()
    rho = float(shadow @ residual)
    enough = _TOLERANCE * max(1.0, float(np.linalg.norm(right)))
    for _ in range(_MOST_STEPS):
        if np.linalg.norm(residual) <= enough:
            return x
        forward = times(direction)
        along = float(shadow @ forward)
        if along == 0.0 or rho == 0.0:
            break
        alpha = rho / along
        half = residual - alpha * forward
        turned = times(half)
        length = float(turned @ turned)
        omega = float(turned @ half) / length if length else 0.0
        x += alpha * direction + omega * half
        residual = half - omega * turned
        before, rho = rho, float(shadow @ residual)
        if omega == 0.0:
            break
        direction = residual + (rho / before) * (alpha / omega) * (direction - omega * forward)
    if np.linalg.norm(residual) <= enough:
        return x
    raise _singular_error(confusions)


def _singular_error(confusions: FloatArray) -> BackendError:
    worst = int(np.argmin(np.abs(confusions[:, 0, 0] + confusions[:, 1, 1] - 1.0)))
    return BackendError(
        "the readout of the observed bit strings cannot be inverted",
        field="mitigation.readout",
        value=confusions[worst].tolist(),
        fix="Take more shots, or leave readout mitigation out.",
    )

"""Readout inversion, qubit by qubit: the observable whose read value is the true one.

A qubit whose mean is read as a + b Z (`noise/readout.py`) has ⟨Z⟩ = (read − a)/b. Put into each
factor of a Pauli string and multiplied out, that is a sum of strings, which is measured in place of
the string: its values, variances and gradients are those of any other observable.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from qstore_ray.backends.base import Estimates, Pullback
from qstore_ray.backends.mitigation.calibration import ReadoutCalibration
from qstore_ray.backends.mitigation.calibration_errors import (
    TINY,
    ValueDerivatives,
    value_derivatives,
    with_shared_errors,
)
from qstore_ray.backends.mitigation.config import MitigationConfig, MitigationCost, readout_cost
from qstore_ray.backends.mitigation.corrected_outcomes import estimates_of_counts
from qstore_ray.backends.mitigation.runner import CircuitRun, DirectRunner
from qstore_ray.backends.noise.readout import MOST_FACTORS
from qstore_ray.circuits.observable import Observable, PauliTerm
from qstore_ray.errors import BackendError

if TYPE_CHECKING:
    from qstore_ray.types import FloatArray

_LEAST_SLOPE = 1e-6


class ReadoutMap(NamedTuple):
    """Of each qubit: the mean of what is read is `shifts` + `slopes` · ⟨Z⟩."""

    shifts: tuple[float, ...]
    slopes: tuple[float, ...]

    @classmethod
    def of(cls, confusions: FloatArray) -> ReadoutMap:
        """From confusion matrices (n, 2, 2).

        Raises:
            BackendError: a qubit whose readout says nothing.
        """
        zero_for_one, one_for_zero = confusions[:, 0, 1], confusions[:, 1, 0]
        slopes = 1.0 - zero_for_one - one_for_zero
        for qubit, slope in enumerate(slopes):
            if abs(slope) < _LEAST_SLOPE:
                raise BackendError(
                    f"qubit {qubit} is read alike in 0 and 1: this cannot be inverted",
                    field="mitigation.readout",
                    value=confusions[qubit].tolist(),
                    fix="Leave readout mitigation out, or measure other qubits.",
                )
        return cls(tuple((zero_for_one - one_for_zero).tolist()), tuple(slopes.tolist()))


class InverseReadoutRunner:
    """Values as if every qubit were read rightly."""

    def __init__(self, inner: DirectRunner, config: MitigationConfig) -> None:
        self._inner, self._config = inner, config
        self.calibration = ReadoutCalibration(inner, config)

    def check(self, asked: CircuitRun) -> None:
        """See `Runner`: whether the readout can be inverted, as far as the noise says it."""
        read = ReadoutMap.of(self.calibration.expected(asked.circuit))
        self.calibration.check(asked.circuit, sampled=asked.shots is not None)
        if asked.circuit.on_device is not None:  # inverted in the counts
            return
        if self.calibration.measures:  # what is measured is alike in 0 and 1 for no qubit
            read = read._replace(shifts=(1.0,) * len(read.shifts))
        _all_corrected(asked.observables, read)

    def run(self, asked: CircuitRun) -> Estimates:
        """See `Runner`."""
        if asked.circuit.on_device is not None:
            counts = self._inner.counts(asked)
            readout = self.calibration.readout(asked.circuit, sampled=True, shots=asked.shots)
            read = ReadoutMap.of(readout.confusions)
            return estimates_of_counts(counts, read.shifts, read.slopes, readout.errors)
        readout = self.calibration.readout(asked.circuit, sampled=asked.shots is not None)
        read = ReadoutMap.of(readout.confusions)
        if readout.errors is None:
            return self._inner.run(_with_corrected(asked, read))
        seen, n = asked.observables, len(read.slopes)
        also, weights = _derivatives(seen, n)
        found = self._inner.run(_with_corrected(asked._replace(observables=(*seen, *also)), read))
        slopes = np.einsum("ne,coe->noc", found.values[:, len(seen) :] / TINY, weights)
        shared = slopes * (readout.errors / np.repeat(read.slopes, 2))
        variances = None if found.variances is None else found.variances[:, : len(seen)]
        own = Estimates(found.values[:, : len(seen)], variances, found.usage)
        return with_shared_errors(own, shared)

    def vjp(self, asked: CircuitRun, *, rows_gradient: bool) -> tuple[Estimates, Pullback]:
        """See `Runner`. The variances have no errors of a calibration in them."""
        readout = self.calibration.readout(asked.circuit, sampled=asked.shots is not None)
        corrected_run = _with_corrected(asked, ReadoutMap.of(readout.confusions))
        return self._inner.vjp(corrected_run, rows_gradient=rows_gradient)

    def cost(self) -> MitigationCost:
        """See `Runner`."""
        return readout_cost(self._config).times(self._inner.cost())


def _with_corrected(asked: CircuitRun, read: ReadoutMap) -> CircuitRun:
    return asked._replace(observables=_all_corrected(asked.observables, read))


@lru_cache(maxsize=64)
def _derivatives(observables: tuple[Observable, ...], n_qubits: int) -> ValueDerivatives:
    """With observables of so small weights that they change nothing of how the others are read."""
    found = value_derivatives(observables, n_qubits)
    tiny = [
        Observable(tuple(term._replace(coefficient=TINY * term.coefficient) for term in each.terms))
        for each in found.observables
    ]
    return found._replace(observables=tuple(tiny))


@lru_cache(maxsize=64)
def _all_corrected(observables: tuple[Observable, ...], read: ReadoutMap) -> tuple[Observable, ...]:
    return tuple(corrected(observable, read) for observable in observables)


def corrected(observable: Observable, read: ReadoutMap) -> Observable:
    """The observable whose value, read wrongly, is the true value of `observable`.

    Raises:
        BackendError: a string on more qubits than can be multiplied out.
    """
    summed: dict[tuple[int, int], float] = {}
    for x, z, coefficient in observable.terms:
        parts = [(0, coefficient)]
        qubits = [q for q in range((x | z).bit_length()) if (x | z) >> q & 1]
        shifted = [q for q in qubits if read.shifts[q]]
        if len(shifted) > MOST_FACTORS:
            raise BackendError(
                f"inverting the readout of {len(shifted)} qubits makes "
                f"{2 ** len(shifted):,} strings of one",
                field="mitigation.readout",
                value=PauliTerm(x, z).label,
                fix="Take readout = 'matrix_free' with shots, or measure strings on at most "
                f"{MOST_FACTORS} qubits.",
            )
        for q in qubits:
            kept = [(mask | 1 << q, share / read.slopes[q]) for mask, share in parts]
            lost = [(mask, -share * read.shifts[q] / read.slopes[q]) for mask, share in parts]
            parts = kept + (lost if read.shifts[q] else [])
        for mask, share in parts:
            string = (x & mask, z & mask)
            summed[string] = summed.get(string, 0.0) + share
    return Observable(tuple(PauliTerm(x, z, c) for (x, z), c in summed.items()))

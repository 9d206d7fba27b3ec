"""How far mitigated values may be off because the confusion matrices were measured.

To first order a value changes by Σ_c ∂value/∂p_c · δp_c, with the probabilities p_c = P(1|0) and
P(0|1) of each qubit. All rows and noise scales share these errors, so they are kept apart from
those of the shots (`Estimates.shared_errors`) until the values are combined.

Inverted in the observables, a string P with the qubit q has

    ∂⟨P⟩/∂P(1|0) = (⟨P⟩ + ⟨P without q⟩)/b        ∂⟨P⟩/∂P(0|1) = (⟨P⟩ − ⟨P without q⟩)/b

for the slope b of the readout of q. Inverted over bit strings, ⟨w⟩ = f · A^-T w for the frequencies
f of the strings, so its derivative is −y · (∂A^T/∂p) x with A y = f and A^T x = w.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from qstore_ray.backends.base import Estimates
from qstore_ray.circuits.observable import Observable, PauliTerm

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, FloatArray

TINY = 2.0**-60
"""Weight of observables that are measured for derivatives alone: it changes no choice of bases."""
_LEAST = 1e-9
"""Probabilities are at least this in a derivative, which divides by them."""


class ValueDerivatives(NamedTuple):
    """Derivatives of O values by 2n probabilities as sums of values of E other observables.

    Attributes:
        observables: E of them, to be corrected like any other.
        weights: (2n, O, E), for P(1|0) and P(0|1) of each qubit in turn, before the division by the
            slope of the qubit.
    """

    observables: tuple[Observable, ...]
    weights: FloatArray


def value_derivatives(observables: tuple[Observable, ...], n_qubits: int) -> ValueDerivatives:
    """What is measured besides O observables, and what the derivatives are of it."""
    number: dict[Observable, int] = {}
    found: list[tuple[int, int, int, int]] = []
    for place, observable in enumerate(observables):
        for q in range(n_qubits):
            terms = [term for term in observable.terms if (term.x | term.z) >> q & 1]
            if terms:
                kept = Observable(tuple(terms))
                rest = Observable(tuple(_without(term, q) for term in terms))
                numbers = [number.setdefault(each, len(number)) for each in (kept, rest)]
                found.append((place, q, numbers[0], numbers[1]))
    weights = np.zeros((2 * n_qubits, len(observables), len(number)))
    for place, q, kept_number, rest_number in found:
        for which, sign in ((2 * q, 1.0), (2 * q + 1, -1.0)):
            weights[which, place, kept_number] += 1.0
            weights[which, place, rest_number] += sign
    return ValueDerivatives(tuple(number), weights)


def outcome_derivatives(
    raw: FloatArray,
    bits: AnyArray,
    rows: slice,
    worth: FloatArray,
    quasi: FloatArray,
    confusions: FloatArray,
) -> FloatArray:
    """What some prepared strings add to ∂⟨w⟩/∂p (O, 2m), for P(1|0) and P(0|1) of m qubits.

    Args:
        raw: P(string k is read | string j is prepared) of K strings (R, K), row j of `rows`.
        bits: of the strings (K, m).
        rows: which strings are prepared.
        worth: x (K, O). quasi: y of the rows (R,), see the module.
        confusions: (m, 2, 2), from `inside`.
    """
    totals = raw.sum(axis=1)
    values = raw @ worth / totals[:, None]
    ones = np.concatenate([worth, np.ones((len(worth), 1))], axis=1)
    everything = raw @ ones
    slopes = np.empty((worth.shape[1], 2 * len(confusions)))
    for q, confusion in enumerate(confusions):
        read_one = raw @ (ones * bits[:, q, None])
        read_zero = everything - read_one
        for prepared, wrong, right in ((0, read_one, read_zero), (1, read_zero, read_one)):
            p = confusion[1 - prepared, prepared]
            change = wrong / p - right / (1.0 - p)
            by_row = change[:, :-1] - values * change[:, -1:]
            weight = quasi / totals * (bits[rows, q] == prepared)
            slopes[:, 2 * q + prepared] = -weight @ by_row
    return slopes


def inside(confusions: FloatArray) -> FloatArray:
    """Confusion matrices (m, 2, 2) without 0 and 1, by which derivatives would divide."""
    return np.clip(confusions, _LEAST, 1.0 - _LEAST)


def with_shared_errors(found: Estimates, shared: FloatArray) -> Estimates:
    """The estimates with errors (N, O, C) that their variances do not have yet."""
    variances = None if found.variances is None else found.variances + (shared**2).sum(axis=-1)
    return replace(found, variances=variances, shared_errors=shared)


def without_shared_errors(found: Estimates) -> FloatArray | None:
    """The variances of the shots and random errors alone."""
    if found.variances is None or found.shared_errors is None:
        return found.variances
    left: FloatArray = found.variances - (found.shared_errors**2).sum(axis=-1)
    return np.maximum(left, 0.0)


def _without(term: PauliTerm, qubit: int) -> PauliTerm:
    return PauliTerm(term.x & ~(1 << qubit), term.z & ~(1 << qubit), term.coefficient)

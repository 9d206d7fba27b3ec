"""Wrong readout, exactly: an affine map of each Z factor.

If a qubit prepared in 0 is read as 1 with probability P(1|0), and in 1 as 0 with P(0|1), the mean
of what is read instead of Z is a + b Z with a = P(0|1) − P(1|0) and b = 1 − P(0|1) − P(1|0). X and
Y are read by turning them to Z first. A string of several qubits is the product of its factors,
multiplied out: a factor with a ≠ 0 doubles the number of strings.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

from qstore_ray.circuits.observable import Observable, PauliTerm
from qstore_ray.errors import BackendError

if TYPE_CHECKING:
    from qstore_ray.backends.noise.config import NoiseConfig

MOST_FACTORS = 10
"""Factors of a string with a ≠ 0; each doubles the number of strings."""


def read_wrongly(observable: Observable, noise: NoiseConfig) -> Observable:
    """The observable whose exact value is the mean of what is read.

    Raises:
        BackendError: a string on more qubits than can be multiplied out.
    """
    if noise.readout == 0.0:
        return observable
    summed: dict[tuple[int, int], float] = {}
    for x, z, coefficient in observable.terms:
        for (to_x, to_z), share in _factors(x, z, noise):
            summed[to_x, to_z] = summed.get((to_x, to_z), 0.0) + coefficient * share
    terms = tuple(PauliTerm(x, z, c) for (x, z), c in summed.items() if c)
    return Observable(terms or (PauliTerm(0, 0, 0.0),))


def _factors(x: int, z: int, noise: NoiseConfig) -> list[tuple[tuple[int, int], float]]:
    """The strings that are read instead of one, with their shares."""
    choices: list[list[tuple[int, float]]] = []  # (mask that is kept, factor)
    open_factors = 0
    for qubit in range((x | z).bit_length()):
        bit = 1 << qubit
        if not (x | z) & bit:
            continue
        (_, zero_for_one), (one_for_zero, _) = noise.confusion(qubit)
        constant, slope = zero_for_one - one_for_zero, 1.0 - zero_for_one - one_for_zero
        choices.append([(bit, slope)] + [(0, constant)] * bool(constant))
        open_factors += bool(constant)
    if open_factors > MOST_FACTORS:
        raise BackendError(
            f"a string on {open_factors} qubits is {2**open_factors:,} strings after wrong readout",
            field="observables",
            value=PauliTerm(x, z).label,
            fix=f"Measure strings on at most {MOST_FACTORS} qubits, or give the same error for 0 "
            "and 1.",
        )
    found = []
    for chosen in product(*choices):
        kept, share = 0, 1.0
        for bit, factor in chosen:
            kept |= bit
            share *= factor
        found.append(((x & kept, z & kept), share))
    return found

"""What is measured together: strings that commute qubit by qubit share a basis.

    Z0, Z1 Z2, Z0 Z2        one basis: Z on qubits 0, 1 and 2
    Z0, X0                  two
    X0 Z1, Z1 Y2            one: X, Z, Y

A shot of a basis gives a bit for each measured qubit, and so a value for every string in it: the
strings of a sum are estimated from the same shots, and their covariances count in its variance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from numbers import Integral
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from qstore_ray.backends.keys import DrawKey
from qstore_ray.circuits.observable import Observable
from qstore_ray.circuits.template import Op
from qstore_ray.errors import BackendError, ConfigError

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, FloatArray


MOST_SHOTS = 2**53
"""Larger counts have no exact mean in double precision."""


@dataclass(frozen=True, eq=False)
class MeasuredBasis:
    """A basis and its share of each observable.

    Attributes:
        x, z: the letter of each measured qubit, as masks like those of a `PauliTerm`.
        masks: qubits of each of its T strings.
        weights: coefficients of the strings in the observables (T, O).
    """

    x: int
    z: int
    masks: tuple[int, ...]
    weights: FloatArray

    @property
    def qubits(self) -> tuple[int, ...]:
        """The m measured qubits, ascending."""
        return tuple(q for q in range((self.x | self.z).bit_length()) if (self.x | self.z) >> q & 1)

    @property
    def observables(self) -> AnyArray:
        """Numbers of the observables that have a string in it."""
        return np.flatnonzero(self.weights.any(axis=0))

    @property
    def turns(self) -> tuple[Op, ...]:
        """Gates that turn the basis to Z: they come before the measurement."""
        found: list[Op] = []
        for qubit in self.qubits:
            if self.x >> qubit & 1:
                found += [Op("sdg", (qubit,))] * (self.z >> qubit & 1)
                found.append(Op("h", (qubit,)))
        return tuple(found)

    def values(self, bits: AnyArray) -> FloatArray:
        """What K outcomes are worth to each observable (K, O).

        Args:
            bits: of the measured qubits (K, m), 0 or 1.
        """
        members = np.array([[mask >> q & 1 for q in self.qubits] for mask in self.masks])
        odd = (bits.astype(np.int64) @ members.T) & 1
        found: FloatArray = (1.0 - 2.0 * odd) @ self.weights
        return found


class Grouping(NamedTuple):
    """Observables as bases to measure and what needs no measurement.

    Attributes:
        bases: B of them; each string is in one.
        constants: the coefficients of the identity (O,).
    """

    bases: tuple[MeasuredBasis, ...]
    constants: FloatArray


@lru_cache(maxsize=64)
def group_observables(observables: tuple[Observable, ...]) -> Grouping:
    """The bases that O observables need: each string joins the first that it fits.

    Strings come in the order of the sum of their coefficients' sizes, largest first, and equal ones
    in the order in which they are given.
    """
    weights: dict[tuple[int, int], FloatArray] = {}
    constants = np.zeros(len(observables))
    for number, observable in enumerate(observables):
        for x, z, coefficient in observable.terms:
            if not x | z:
                constants[number] += coefficient
                continue
            weights.setdefault((x, z), np.zeros(len(observables)))[number] += coefficient
    strings = sorted(
        (string for string, of in weights.items() if of.any()),
        key=lambda string: -float(np.abs(weights[string]).sum()),
    )
    groups: list[tuple[int, int, list[tuple[int, int]]]] = []
    for x, z in strings:
        for place, (all_x, all_z, members) in enumerate(groups):
            if _fits(x, z, all_x, all_z):
                groups[place] = (all_x | x, all_z | z, [*members, (x, z)])
                break
        else:
            groups.append((x, z, [(x, z)]))
    bases = tuple(
        MeasuredBasis(
            x, z, tuple(a | b for a, b in members), np.array([weights[m] for m in members])
        )
        for x, z, members in groups
    )
    return Grouping(bases, constants)


def _fits(x: int, z: int, all_x: int, all_z: int) -> bool:
    """Whether the letters are the same on each qubit that both act on."""
    common = (x | z) & (all_x | all_z)
    return not ((x ^ all_x) | (z ^ all_z)) & common


class Moments(NamedTuple):
    """Means (…, O) of shots, and the variances (…, O) of these means; None for one shot."""

    means: FloatArray
    variances: FloatArray | None


def moments(values: FloatArray, counts: AnyArray) -> Moments:
    """Mean of each observable over the shots of one basis, and how far it may be off.

    Args:
        values: of K outcomes (K, O), from `MeasuredBasis.values`.
        counts: how often each outcome was seen (…, K); all rows have as many shots.
    """
    shots = float(counts.sum(axis=-1).flat[0])
    means: FloatArray = counts @ values / shots
    if shots == 1:
        return Moments(means, None)
    # From the middle of the values, so that squares of a large constant do not cancel.
    middle = means.reshape(-1, means.shape[-1]).mean(axis=0)
    squares = counts @ (values - middle) ** 2 / shots - (means - middle) ** 2
    return Moments(means, np.maximum(squares, 0.0) / (shots - 1.0))


def checked_shots(shots: int) -> int:
    """The number of shots.

    Raises:
        ConfigError: it is no whole number from 1 to `MOST_SHOTS`.
    """
    is_count = isinstance(shots, Integral) and not isinstance(shots, bool)
    if not (is_count and 1 <= shots <= MOST_SHOTS):
        raise ConfigError(
            "the number of shots is a whole number from 1 to 2^53",
            field="shots",
            value=shots,
            fix="Take for example 1024, or leave shots unset for exact values.",
        )
    return int(shots)


def key_of_shots(key: DrawKey | None) -> DrawKey:
    """The key of the draws.

    Raises:
        BackendError: the key is None.
    """
    if key is None:
        raise BackendError(
            "shots are drawn by a key",
            field="key",
            value=None,
            fix="Give key=DrawKey((run, epoch, step)), a new one for each evaluation.",
        )
    return key


def bits_of(outcomes: Sequence[int], n_bits: int) -> AnyArray:
    """Bits (K, m) of K outcomes of any width; the first is the lowest."""
    width = (n_bits + 7) // 8
    packed = b"".join(outcome.to_bytes(width, "little") for outcome in outcomes)
    rows = np.frombuffer(packed, np.uint8).reshape(len(outcomes), width)
    return np.unpackbits(rows, axis=1, count=n_bits, bitorder="little")

"""A circuit as it is measured: bases, random errors, and how its qubits are read."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from qstore_ray.backends.grouping import MeasuredBasis, group_observables
from qstore_ray.backends.noise.config import NoiseConfig
from qstore_ray.backends.noise.placed import place_noise
from qstore_ray.backends.noise.placement import errors_at
from qstore_ray.backends.noise.trajectories import RandomErrors, visible_errors
from qstore_ray.backends.sampling.tally import BasisTally
from qstore_ray.circuits.observable import Observable, PauliTerm
from qstore_ray.circuits.template import Template
from qstore_ray.simulate.compile.signs import compile_signed

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, FloatArray, IntArray


class Measurement(NamedTuple):
    """One basis of a circuit.

    Attributes:
        tally: counts its outcomes.
        letters: (m,) place of each measured qubit's Pauli letter among those of the circuit.
        confusions: of the bits of an outcome that are read wrongly.
    """

    tally: BasisTally
    letters: IntArray
    confusions: dict[int, AnyArray]

    @property
    def basis(self) -> MeasuredBasis:
        """What is measured."""
        return self.tally.basis

    def flips(self, letter_signs: FloatArray) -> IntArray:
        """The bits that errors flip (E,), as masks, from the signs of all letters (E, L)."""
        flipped = letter_signs[:, self.letters] < 0.0
        found: IntArray = flipped @ (1 << np.arange(len(self.letters)))
        return found


class MeasuredCircuit(NamedTuple):
    """A circuit as it is measured.

    Attributes:
        template: with the angles that its gates really have.
        constants: what each observable is without any measurement (O,).
        measurements: one for each basis.
        errors: random errors, whose observables are the letters of all bases; None without any.
    """

    template: Template
    constants: FloatArray
    measurements: tuple[Measurement, ...]
    errors: RandomErrors | None


@lru_cache(maxsize=16)  # with tables of up to 4 MiB for each basis
def compile_measured(
    template: Template, observables: tuple[Observable, ...], noise_text: str
) -> MeasuredCircuit:
    """The circuit under a noise, given as its text, "" for none.

    Raises:
        ConfigError, BackendError: noise that does not fit the circuit or the engine.
    """
    if not noise_text:
        grouping = group_observables(observables)
        measurements, _ = _measurements(grouping.bases, None)
        return MeasuredCircuit(template, grouping.constants, measurements, None)
    noise = NoiseConfig.model_validate_json(noise_text)
    placed = place_noise(template, observables, noise)
    grouping = group_observables(placed.observables)
    measurements, letters = _measurements(grouping.bases, placed.readout)
    found = errors_at(placed.sites, twirl=noise.twirl)
    errors = None
    if found.sites and letters:
        signed = compile_signed(placed.template, letters, found.sites, states=True)
        errors = visible_errors(signed, found.sites, found.probabilities)
    return MeasuredCircuit(placed.template, grouping.constants, measurements, errors)


def _measurements(
    bases: tuple[MeasuredBasis, ...], readout: NoiseConfig | None
) -> tuple[tuple[Measurement, ...], tuple[Observable, ...]]:
    """The measurements, and the single letters of all bases."""
    letters: dict[tuple[int, int], int] = {}
    found = []
    for basis in bases:
        own = [(basis.x & 1 << q, basis.z & 1 << q) for q in basis.qubits]
        places = np.array([letters.setdefault(letter, len(letters)) for letter in own])
        confusions = {} if readout is None else _confusions(basis, readout)
        found.append(Measurement(BasisTally(basis), places, confusions))
    return tuple(found), tuple(Observable((PauliTerm(x, z),)) for x, z in letters)


def _confusions(basis: MeasuredBasis, readout: NoiseConfig) -> dict[int, AnyArray]:
    found = {bit: readout.confusion(qubit) for bit, qubit in enumerate(basis.qubits)}
    return {bit: confusion for bit, confusion in found.items() if (confusion != np.eye(2)).any()}

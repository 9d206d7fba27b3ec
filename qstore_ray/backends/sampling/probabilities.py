"""From final states to the probabilities of what is read.

In this order: the basis is turned to Z, qubits that are not measured are summed over, the Pauli
string that random errors left behind flips bits, and bits are read wrongly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from qstore_ray.backends.grouping import MeasuredBasis
from qstore_ray.circuits.template import Template
from qstore_ray.simulate.states import renaming

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, ComplexArray, FloatArray, IntArray

Turn = Callable[[Template, "ComplexArray"], "ComplexArray"]
"""Runs a circuit without slots on states (E, 2^n)."""


@dataclass(eq=False)
class PreparedStates:
    """States (E, 2^n) of a program, which are those of `template` but for names and phases.

    Args:
        states: they.
        template: the circuit that they belong to.
        turn: runs the gates that turn a basis.
    """

    states: ComplexArray
    template: Template
    turn: Turn
    _named: ComplexArray | None = None

    def probabilities(self, basis: MeasuredBasis) -> FloatArray:
        """Of the measured qubits (E, 2^m): bit k of an outcome is that of the k-th of them."""
        n = self.template.n_qubits
        source, factors = renaming(self.template)
        if basis.turns:
            if self._named is None:
                self._named = self.states[:, source] * factors
            gates = Template(n, basis.turns, initial="amplitudes")
            found = _squares(self.turn(gates, self._named))
        else:
            found = _squares(self.states)[:, source]
        for qubit in reversed(range(n)):
            if qubit not in basis.qubits:
                pairs = found.reshape(len(found), -1, 2, 2**qubit)
                found = (pairs[:, :, 0] + pairs[:, :, 1]).reshape(len(found), -1)
        return found


def flipped(probabilities: FloatArray, flips: IntArray) -> FloatArray:
    """The probabilities (E, K) if bits of each row are flipped.

    Args:
        flips: which bits (E,), as a mask.
    """
    outcomes = np.arange(probabilities.shape[1])
    return np.take_along_axis(probabilities, outcomes ^ flips[:, None], axis=1)


def read(probabilities: FloatArray, confusions: Mapping[int, AnyArray]) -> FloatArray:
    """The probabilities (E, K) of what is read.

    Args:
        confusions: P(read i | true j) (2, 2) of some bits of an outcome.
    """
    for bit, confusion in confusions.items():
        pairs = probabilities.reshape(len(probabilities), -1, 2, 2**bit)
        zero, one = pairs[:, :, 0], pairs[:, :, 1]
        found = np.empty_like(pairs)
        for read_as in (0, 1):
            found[:, :, read_as] = confusion[read_as, 0] * zero + confusion[read_as, 1] * one
        probabilities = found.reshape(probabilities.shape)
    return probabilities


def _squares(states: ComplexArray) -> FloatArray:
    found: FloatArray = states.real**2
    found += states.imag**2
    return found

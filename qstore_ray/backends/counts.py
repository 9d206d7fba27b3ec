"""Counts: how often each outcome was read, for backends that give them, and what follows.

A backend that samples may offer `counts`; check for it with `can_count`. Mitigation of readout over
bit strings needs the outcomes themselves, not the values that were computed from them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeGuard

import numpy as np

from qstore_ray.backends.base import Backend, Bindings, Estimates, Usage
from qstore_ray.backends.grouping import MeasuredBasis, moments
from qstore_ray.backends.keys import DrawKey
from qstore_ray.circuits.observable import Observable
from qstore_ray.circuits.template import Template

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, FloatArray


class OutcomeCounts(NamedTuple):
    """The K different outcomes of one row and basis.

    Attributes:
        bits: of the measured qubits (K, m), 0 or 1.
        counts: how often each was read (K,).
    """

    bits: AnyArray
    counts: FloatArray


@dataclass(frozen=True, eq=False)
class Counts:
    """What was read in each basis.

    Attributes:
        bases: B of them, with their share of the O observables.
        outcomes: of every basis, of each of N rows.
        constants: what needs no measurement (O,).
        n_rows: N.
        shots: of each row and basis.
    """

    bases: tuple[MeasuredBasis, ...]
    outcomes: tuple[tuple[OutcomeCounts, ...], ...]
    constants: FloatArray
    n_rows: int
    shots: int

    def estimates(
        self,
        values: Callable[[MeasuredBasis, AnyArray], FloatArray] = MeasuredBasis.values,
    ) -> Estimates:
        """Means (N, O) of what the outcomes are worth, and their variances.

        Args:
            values: of a basis and its outcomes' bits (K, m) to the worth of each (K, O).
        """
        means = np.tile(self.constants, (self.n_rows, 1))
        variances = None if self.shots == 1 else np.zeros(means.shape)
        for basis, rows in zip(self.bases, self.outcomes, strict=True):
            for row, (bits, counts) in enumerate(rows):
                found = moments(values(basis, bits), counts)
                means[row] += found.means
                if variances is not None and found.variances is not None:
                    variances[row] += found.variances
        runs = self.n_rows * len(self.bases)
        return Estimates(means, variances, Usage(circuits=runs, shots=runs * self.shots))


class CountingBackend(Backend, Protocol):
    """A backend that also gives the counts themselves."""

    def counts(
        self,
        template: Template,
        observables: Sequence[Observable],
        bindings: Bindings,
        *,
        shots: int | None = None,
        key: DrawKey | None = None,
    ) -> Counts:
        """The outcomes from which `evaluate` computes its values, of the same draws.

        Raises:
            BackendError: no shots, or no key.
        """
        ...


def can_count(backend: Backend) -> TypeGuard[CountingBackend]:
    """Whether the backend offers `counts`."""
    return hasattr(backend, "counts")

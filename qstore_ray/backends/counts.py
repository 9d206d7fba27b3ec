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
from qstore_ray.backends.grouping import MeasuredBasis, checked_shots, moments
from qstore_ray.backends.keys import DrawKey
from qstore_ray.circuits.observable import Observable
from qstore_ray.circuits.template import Template
from qstore_ray.errors import BackendError

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
        trajectories: of each row; each is a circuit.
        are_independent: whether the shots of a row are. If several have the same random errors, how
            far their means may be off cannot be seen from the counts.
    """

    bases: tuple[MeasuredBasis, ...]
    outcomes: tuple[tuple[OutcomeCounts, ...], ...]
    constants: FloatArray
    n_rows: int
    shots: int
    trajectories: int = 1
    are_independent: bool = True

    def estimates(
        self,
        values: Callable[[MeasuredBasis, AnyArray], FloatArray] = MeasuredBasis.values,
    ) -> Estimates:
        """Means (N, O) of what the outcomes are worth, and their variances if they are known.

        Args:
            values: of a basis and its outcomes' bits (K, m) to the worth of each (K, O).
        """
        means = np.tile(self.constants, (self.n_rows, 1))
        is_known = self.shots > 1 and self.are_independent
        variances = np.zeros(means.shape) if is_known else None
        for basis, rows in zip(self.bases, self.outcomes, strict=True):
            for row, (bits, counts) in enumerate(rows):
                found = moments(values(basis, bits), counts)
                means[row] += found.means
                if variances is not None and found.variances is not None:
                    variances[row] += found.variances
        return Estimates(means, variances, self.usage)

    @property
    def usage(self) -> Usage:
        """What they cost."""
        runs = self.n_rows * len(self.bases)
        return Usage(circuits=runs * self.trajectories, shots=runs * self.shots)


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


def checked_shots_of_counts(shots: int | None) -> int:
    """The number of shots.

    Raises:
        BackendError: it is None.
        ConfigError: it is no whole number from 1.
    """
    if shots is None:
        raise BackendError(
            "only shots have counts",
            field="shots",
            value=None,
            fix="Give a number of shots, for example 1024.",
        )
    return checked_shots(shots)

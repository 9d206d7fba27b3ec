"""What a worker sends to the gateway: rows of one circuit, whose run and turn they are.

A call is data: it is pickled to the gateway's process, which compiles the circuit for the device.
Its answer is the outcomes: of each measured basis, packed bits (N, S, bytes).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from qstore_ray.backends.base import Bindings
from qstore_ray.backends.counts import Counts, OutcomeCounts
from qstore_ray.backends.grouping import MeasuredBasis, group_observables
from qstore_ray.backends.ibm.keys import circuit_fingerprint, options_text, request_key
from qstore_ray.backends.ibm.requests import CircuitRequest
from qstore_ray.backends.keys import DrawKey
from qstore_ray.backends.paid import RunIdentity
from qstore_ray.circuits.observable import Observable
from qstore_ray.circuits.template import Template

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, ReadOnlyTable

_BYTES_OF_GATE, _BYTES_OF_VALUE = 40, 12


@dataclass(frozen=True)
class HardwareCall:
    """Rows of one circuit to be run on hardware.

    Args:
        request: what the gateway queues; its times are set on arrival.
        template, observables, bindings: the circuit, what is measured, its N rows.
    """

    request: CircuitRequest
    template: Template
    observables: tuple[Observable, ...]
    bindings: Bindings

    def rows(self, first: int, count: int) -> Bindings:
        """Some of the rows."""
        b, part = self.bindings, slice(first, first + count)
        params = b.params if b.params.ndim == 1 else b.params[part]
        return replace(b, rows=b.rows[part], params=params)

    def first_row(self) -> HardwareCall:
        """The call without its other rows."""
        return replace(self, bindings=self.rows(0, 1))


def hardware_call(
    template: Template,
    observables: Sequence[Observable],
    bindings: Bindings,
    shots: int,
    key: DrawKey,
    *,
    device: str,
    identity: RunIdentity,
    options: ReadOnlyTable,
) -> HardwareCall:
    """The call of one evaluation; equal ones have an equal key, also in another process.

    Args:
        key: of the draws; its words name the evaluation, so the same words with the same numbers
            are the same measurement, and are run and paid once.
        identity: whose it is.
        options: of the sampler.
    """
    text = options_text(options)
    n_circuits = len(group_observables(tuple(observables)).bases)
    run, trial, part, weight = identity
    group = ":".join([part, *map(str, key.words)]) if key.parts > 1 else ""
    name = request_key(
        run=run, trial=trial, step=key.words, group=group, part=int(key.first_row), shots=shots,
        options=text, circuit=circuit_fingerprint(template, observables), bindings=bindings,
    )  # fmt: skip
    n_values = template.n_rows + template.n_params
    request = CircuitRequest(
        key=name,
        backend=device,
        trial=trial,
        shots=shots,
        options=text,
        rows=len(bindings),
        circuits_per_row=n_circuits,
        circuit_bytes=_BYTES_OF_GATE * n_circuits * len(template.ops),
        row_bytes=_BYTES_OF_VALUE * n_circuits * n_values,
        weight=weight,
        group=group,
        part=key.part,
        parts=key.parts,
        deadline=0.0 if key.parts > 1 else float("inf"),
    )
    return HardwareCall(request, template, tuple(observables), bindings)


def counts_of_call(call: HardwareCall, outcomes: Sequence[AnyArray]) -> Counts:
    """The counts of a call from its outcomes: of each basis, packed bits (N, S, bytes)."""
    grouping = group_observables(call.observables)
    found = tuple(
        tuple(_counted(basis, row) for row in array)
        for basis, array in zip(grouping.bases, outcomes, strict=True)
    )
    return Counts(grouping.bases, found, grouping.constants, len(call.bindings), call.request.shots)


def _counted(basis: MeasuredBasis, packed: AnyArray) -> OutcomeCounts:
    """The different outcomes of S shots (S, bytes); the last byte has the lowest bits."""
    seen, counts = np.unique(packed, axis=0, return_counts=True)
    bits = np.unpackbits(seen[:, ::-1], axis=1, bitorder="little")
    return OutcomeCounts(bits[:, : len(basis.qubits)], counts.astype(float))

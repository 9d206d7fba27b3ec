"""Which qubits of a circuit become qubits of a model.

A transpiled circuit is as wide as its device, and nothing happens on most of its qubits. Where the
transpiler's layout is known, the qubits of the circuit before are taken, in their order: the model
of a transpiled circuit is that of the circuit which was transpiled. Where it is not, a circuit
that is wider than a state vector can be keeps the qubits with a gate or a measurement, in the
order of their numbers. What is left out is |0⟩ from beginning to end.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from qstore_ray.circuits.library.library import MAX_QUBITS
from qstore_ray.errors import CircuitError, ResourceError


def kept_wires(
    n_qubits: int, used: Collection[int], before: Sequence[int] | None = None
) -> tuple[int, ...]:
    """The numbers in a user's circuit of the qubits 0, 1, … of its model.

    Args:
        n_qubits: of the user's circuit.
        used: numbers of those with a gate or a measurement.
        before: where the qubits of the circuit that was transpiled have come to, if it was.

    Raises:
        CircuitError: a circuit wider than a state vector in which no qubit is used.
        ResourceError: more qubits are used than a state vector can hold.
    """
    kept = tuple(range(n_qubits))
    if before and len(before) < n_qubits and max(before) < n_qubits:
        kept = (*before, *sorted(set(used).difference(before)))
    if len(kept) > MAX_QUBITS:
        kept = tuple(sorted(used))
    if not kept and n_qubits:
        raise CircuitError(
            f"nothing happens on any of its {n_qubits} qubits",
            field="circuit",
            value=n_qubits,
            fix="Give a circuit with gates.",
        )
    if len(kept) > MAX_QUBITS:
        raise too_wide_error(len(kept))
    return kept


def too_wide_error(n_used: int, place: str = "") -> ResourceError:
    """The error for more used qubits than a state vector can hold, at a place of a text."""
    return ResourceError(
        f"{place}more than {MAX_QUBITS} qubits have a gate or a measurement, and no machine holds "
        "their state vector",
        field="circuit",
        value=n_used,
        fix="Use fewer qubits, and measure only those that gates act on.",
    )

"""Select the qubits of a circuit that become qubits of a model.

A transpiled circuit is as wide as its device, and most of its qubits are idle. If the transpiler's
layout is known, the model has the qubits of the original circuit, in their order, and so equals the
model of that circuit. If the layout is not known, a circuit that is too wide for a state vector
keeps the qubits with a gate or a measurement, in the order of their numbers. A qubit that is left
out stays in |0⟩.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from qstore_ray.circuits.library.library import MAX_QUBITS, WHOLE_QUBITS
from qstore_ray.errors import CircuitError, ResourceError


def kept_wires(
    n_qubits: int, used: Collection[int], before: Sequence[int] | None = None
) -> tuple[int, ...]:
    """The numbers in a user's circuit of the qubits 0, 1, … of its model.

    Args:
        n_qubits: width of the user's circuit.
        used: numbers of the qubits with a gate or a measurement.
        before: positions of the original circuit's qubits, if the circuit was transpiled.

    Raises:
        CircuitError: a circuit wider than a state vector in which no qubit is used.
        ResourceError: more qubits are used than a circuit can have.
    """
    kept = tuple(range(n_qubits))
    if before and len(before) < n_qubits and max(before) < n_qubits:
        kept = (*before, *sorted(set(used).difference(before)))
    if len(kept) > WHOLE_QUBITS:
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
    """The error for more used qubits than a circuit can have, at a place of a text."""
    return ResourceError(
        f"{place}more than {MAX_QUBITS:,} qubits have a gate or a measurement",
        field="circuit",
        value=n_used,
        fix="Use fewer qubits, and measure only qubits with gates.",
    )

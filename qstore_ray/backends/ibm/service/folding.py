"""Folding of a compiled circuit: its gates undone and done again, in the device's own gates.

No compiler sees the circuit afterwards, so the folds stay. G G† G has three times the gates of G,
and on average three times its errors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from qstore_ray.backends.noise.device.device import Device
from qstore_ray.backends.noise.device.transpile import Transpiled
from qstore_ray.errors import CircuitError

_OWN_INVERSES = frozenset({"x", "cx", "cz", "ecr", "id", "h", "y", "z", "swap"})
_OF_ANGLES = frozenset({"rz", "rx", "ry", "rzz", "p", "u", "u1", "u2", "u3"})


class IsaGate(NamedTuple):
    """A gate of Qiskit on physical qubits."""

    operation: Any
    place: tuple[int, ...]


def folded(
    found: Transpiled, device: Device, folds: int, folding: Literal["global", "local"]
) -> list[IsaGate]:
    """The gates of a compiled circuit with `folds` folds of the whole, or of each gate with errors.

    Raises:
        CircuitError: a gate that the device's gates cannot undo.
    """
    number = {qubit: found.physical[k] for k, qubit in enumerate(found.circuit.qubits)}
    gates = [
        IsaGate(item.operation, tuple(number[qubit] for qubit in item.qubits))
        for item in found.circuit.data
    ]
    if not folds:
        return gates
    if folding == "global":
        return gates + (_undone(gates, device) + gates) * folds
    names = dict(found.names)
    result: list[IsaGate] = []
    for gate in gates:
        name = gate.operation.name
        has_errors = device.error(names.get(name, name), gate.place) > 0.0
        result += [gate, *([*_undone([gate], device), gate] * (folds if has_errors else 0))]
    return result


def _undone(gates: Sequence[IsaGate], device: Device) -> list[IsaGate]:
    return [each for gate in reversed(gates) for each in _inverse(gate, device)]


def _inverse(gate: IsaGate, device: Device) -> list[IsaGate]:
    """Gates that undo one, but for a global phase."""
    from qiskit.circuit.library import RZGate

    name = gate.operation.name
    if name in _OWN_INVERSES or name == "barrier":
        return [gate]
    if name in _OF_ANGLES:
        return [gate._replace(operation=gate.operation.inverse())]
    if name == "sx":  # half a turn about Z on either side turns it around
        half = gate._replace(operation=RZGate(math.pi))
        return [half, gate, half]
    raise CircuitError(
        f"the gate {name} cannot be undone in the gates of {device.name}, so it cannot be folded",
        field="mitigation.zne",
        value=name,
        fix="Leave zne out of the mitigation.",
    )

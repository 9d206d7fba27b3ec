"""Where in a circuit a light cone becomes too wide, gate by gate from the end.

The gates in front of an observable are counted here, not Pauli rotations, because a gate has a
place in the circuit. This cone is at least as wide as that of `cone.py`, so where that one is too
wide, this one is.
"""

from __future__ import annotations

from typing import NamedTuple

from qstore_ray.circuits.observable import Observable
from qstore_ray.circuits.template import Op, Template


class Growth(NamedTuple):
    """The gate that widens a cone beyond a limit, seen from the end.

    Attributes:
        layer: of that gate, counted by depth from 1. layers: depth of the circuit.
        width: qubits that the gates of all later layers connect.
    """

    op: Op
    layer: int
    layers: int
    width: int


def growth_beyond(template: Template, observable: Observable, limit: int) -> Growth | None:
    """Where the cone of an observable becomes wider than `limit` qubits; None if it does not."""
    depths = _depths(template)
    cone = 0
    for term in observable.terms:
        cone |= term.x | term.z
    later = {max(depths, default=0) + 1: cone.bit_count()}
    for op, depth in zip(reversed(template.ops), reversed(depths), strict=True):
        mask = sum(1 << qubit for qubit in op.qubits)
        if not mask & cone:
            continue
        cone |= mask
        if cone.bit_count() > limit:
            width = max(width for layer, width in later.items() if layer > depth)
            return Growth(op, depth, max(depths), width)
        later[depth] = max(later.get(depth, 0), cone.bit_count())
    return None


def _depths(template: Template) -> list[int]:
    """The layer of each gate: one more than the latest of its qubits' gates before it."""
    latest = [0] * template.n_qubits
    depths = []
    for op in template.ops:
        depth = 1 + max(latest[qubit] for qubit in op.qubits)
        for qubit in op.qubits:
            latest[qubit] = depth
        depths.append(depth)
    return depths

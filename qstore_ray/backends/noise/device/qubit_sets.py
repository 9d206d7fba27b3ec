"""Sets of connected qubits of a device, grown from good ones by the smallest error."""

from __future__ import annotations

import numpy as np

from qstore_ray.backends.noise.device.device import Device


def grown_sets(device: Device, n: int, *, chain: bool) -> list[tuple[int, ...]]:
    """Sets grown from each qubit by the neighbour of the smallest error, the best set first.

    A chain grows at its two ends alone.
    """
    cost = _costs(device)
    every = range(len(device.qubits))
    own = [-float(np.log(max(1e-9, 1.0 - device.readout_error(q)))) for q in every]
    steps: dict[int, list[tuple[float, int]]] = {q: [] for q in every}
    for (a, b), each in cost.items():
        steps[a].append((each + own[b], b))
        steps[b].append((each + own[a], a))
    found: dict[tuple[int, ...], float] = {}
    for start in usable_qubits(device):
        order, total = [start], own[start]
        while len(order) < n:
            open_ends = {order[0], order[-1]} if chain else order
            free = [(*step, end) for end in open_ends for step in steps[end]
                    if step[1] not in order]  # fmt: skip
            if not free:
                break
            least, nearest, end = min(free)
            order.insert(0 if end == order[0] else len(order), nearest)
            total += least
        if len(order) == n:
            found[tuple(sorted(order))] = total
    return sorted(found, key=lambda each: (found[each], each))


def _costs(device: Device) -> dict[tuple[int, int], float]:
    """−log of the fidelity of the best gate of each pair."""
    best: dict[tuple[int, int], float] = {}
    usable = set(usable_qubits(device))
    for gate in device.gates:
        if gate.qubits is None or len(gate.qubits) != 2 or gate.is_faulty:
            continue
        if not usable.issuperset(gate.qubits):
            continue
        pair = (min(gate.qubits), max(gate.qubits))
        cost = -float(np.log(max(1e-9, 1.0 - (gate.error or 0.0))))
        best[pair] = min(cost, best.get(pair, np.inf))
    return best


def usable_qubits(device: Device) -> list[int]:
    """Qubits whose gates of one qubit all work."""
    faulty = {q for gate in device.gates if gate.is_faulty and gate.qubits and len(gate.qubits) == 1
              for q in gate.qubits}  # fmt: skip
    return [q for q in range(len(device.qubits)) if q not in faulty]


def connected_parts(device: Device) -> list[tuple[int, ...]]:
    """The connected parts of the device's usable qubits."""
    part = {q: {q} for q in usable_qubits(device)}
    for a, b in _costs(device):
        if part[a] is not part[b]:
            part[a] |= part[b]
            for q in part[b]:
                part[q] = part[a]
    return sorted({tuple(sorted(each)) for each in part.values()})

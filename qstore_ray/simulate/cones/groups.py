"""Which observables are evaluated together.

A group of observables runs as one circuit of k qubits, the union of their cones, and r rotations,
and costs about

    c(group) = r · 2^k + CALL                                  multiplications of an amplitude

so the groups shall make Σ c small. To find the smallest sum is a set partition problem; `grouped`
is a greedy. It takes the observables from the widest cone to the narrowest and puts each into the
group in which it adds least, of those with a common qubit and the latest one, or into a group of
its own if that adds less. So an observable never adds more than its own cost, and the sum is at
most that of one group each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from qstore_ray.simulate.cones.cone import LightCone, members_of

CALL = 8192
"""What a call of an engine costs, in rotations of one amplitude of a block of rows."""


class Group(NamedTuple):
    """Observables by their numbers, and the cone of them all."""

    members: tuple[int, ...]
    cone: LightCone

    @property
    def cost(self) -> int:
        """Rotations of an amplitude, for a row."""
        return cost_of(self.cone)


def cost_of(cone: LightCone) -> int:
    """What a group with that cone costs."""
    return (cone.rotations.bit_count() << cone.width) + CALL


def grouped(cones: Sequence[LightCone]) -> list[Group]:
    """The observables, each in one group; the order in which they are given does not matter.

    Two observables with the same cone keep their order.
    """
    order = sorted(range(len(cones)), key=lambda o: (-cones[o].width, cones[o][::-1]))
    groups: list[Group] = []
    at: dict[int, list[int]] = {}  # the groups with a qubit
    for number in order:
        cone = cones[number]
        qubits = members_of(cone.qubits)
        near = {place for qubit in qubits for place in at.get(qubit, ())}
        near.update(range(max(0, len(groups) - 1), len(groups)))  # and the latest one
        best, least = None, cost_of(cone)
        for place in sorted(near):
            added = _added(groups[place].cone, cone, least)
            if added is not None and (added < least or best is None):
                best, least = place, added
                if not added:
                    break
        if best is None:
            best = len(groups)
            groups.append(Group((), LightCone(0, 0)))
        before = groups[best]
        groups[best] = Group((*before.members, number), before.cone.joined(cone))
        for qubit in members_of(cone.qubits & ~before.cone.qubits):
            at.setdefault(qubit, []).append(best)
    return groups


def _added(group: LightCone, cone: LightCone, most: int) -> int | None:
    """By how much a cone makes a group more expensive; None if by more than `most`."""
    wider = (group.qubits | cone.qubits).bit_count()
    rotations = group.rotations.bit_count()
    if rotations * ((1 << wider) - (1 << group.width)) > most:
        return None
    more = (group.rotations | cone.rotations).bit_count()
    added = (more << wider) - (rotations << group.width)
    return added if added <= most else None

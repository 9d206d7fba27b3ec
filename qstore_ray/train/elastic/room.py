"""How many workers fit on the nodes of a cluster, and when a group of them has to make place."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from qstore_ray.errors import RegroupError

_SETTLE_SECONDS = 2.0
"""What ended workers held is free a moment after their end, on one node later than on another."""
_UNIT = 10_000
"""Ray counts resources in ten-thousandths; whole numbers of them leave nothing to rounding."""


class NodeRoom(NamedTuple):
    """What a node has free, by the resource's name; `leaving` if it is about to be taken away."""

    name: str
    free: Mapping[str, float]
    leaving: bool = False


def fitting(nodes: Sequence[NodeRoom], worker: Mapping[str, float]) -> int:
    """How many workers with the resources `worker` fit on the nodes that stay."""
    needed = {name: round(amount * _UNIT) for name, amount in worker.items() if amount}
    return sum(
        min(round(node.free.get(name, 0.0) * _UNIT) // units for name, units in needed.items())
        for node in nodes
        if not node.leaving
    )


class GroupSize:
    """How many workers the next group has. One object for all groups of a training.

    Args:
        fewest, most: of the workers.
        worker: the resources of one.
    """

    def __init__(self, fewest: int, most: int, worker: Mapping[str, float]) -> None:
        self.fewest, self.most, self._worker = fewest, most, worker
        self._seen, self._since = -1, 0.0

    def forget(self) -> None:
        """A new group is wanted: what the last one had is not yet free."""
        self._seen = -1

    def next(self, nodes: Sequence[NodeRoom], now: float) -> int | None:
        """The number of workers to start with; None while there are too few, or this may change."""
        if self.fewest == self.most:
            return self.most
        found = min(self.most, fitting(nodes, self._worker))
        if found != self._seen:
            self._seen, self._since = found, now
        settled = found == self.most or now - self._since >= _SETTLE_SECONDS
        return found if settled and found >= self.fewest else None

    def regroup_error(
        self,
        nodes: Sequence[NodeRoom],
        used: Collection[str],
        *,
        workers: int,
        age: float,
        every: float,
    ) -> RegroupError | None:
        """Why a group that trains has to make place; None if it has not.

        Args:
            used: names of the nodes that its workers are on.
            workers: how many there are.
            age: seconds since they began, or since this was asked with a view to more workers.
            every: seconds between such looks.
        """
        if leaving := sorted(node.name for node in nodes if node.leaving and node.name in used):
            return RegroupError(
                f"the cluster is about to take away {len(leaving)} of the machines",
                field="cluster.max_preemptions",
            )
        possible = min(self.most, workers + fitting(nodes, self._worker))
        if possible > workers and age >= every:
            return RegroupError(f"there is room for {possible} workers now, {workers} trained")
        return None

"""What one trial takes of a cluster, and how often that fits on its nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from qstore_ray.train.config import ClusterConfig, TrainerConfig
from qstore_ray.tune.config import TuneConfig

TRIAL_MEMORY = 2**20
"""Bytes that Tune reserves for a trial that only starts workers: it does not reserve nothing."""

UNIT = 10_000  # Ray counts resources in ten-thousandths
Bundle = dict[str, float]


def trial_bundles(config: TuneConfig, trainer: TrainerConfig) -> list[Bundle]:
    """What Tune reserves for one trial."""
    if trainer.max_workers:
        return [{"memory": TRIAL_MEMORY, **config.resources}]
    bundle = {"CPU": config.cpus_per_trial, "GPU": config.gpus_per_trial, **config.resources}
    bundle = {name: amount for name, amount in bundle.items() if amount}
    at_once = min(config.parts_at_once, config.parts)
    return [dict(bundle) for _ in range(at_once)]


@dataclass(frozen=True)
class Demand:
    """What one trial needs: `at_once` equal pieces, and of its workers `workers` equal ones."""

    piece: Bundle
    at_once: int
    worker: Bundle
    workers: int

    @classmethod
    def of(cls, config: TuneConfig, cluster: ClusterConfig, trainer: TrainerConfig) -> Demand:
        """The demand of a trial of this search."""
        bundles = trial_bundles(config, trainer)
        piece = {name: amount for name, amount in bundles[0].items() if name != "memory"}
        workers = trainer.max_workers * min(config.parts_at_once, config.parts)
        return cls(piece, len(bundles), cluster.worker_resources, workers)

    @property
    def total(self) -> Bundle:
        """All of it together."""
        total = {name: amount * self.at_once for name, amount in self.piece.items()}
        if not self.workers:
            return total
        return {**{name: self.workers * amount for name, amount in self.worker.items()}, **total}

    def trials_on(
        self, nodes: Sequence[Mapping[str, float]], available: Mapping[str, float]
    ) -> int:
        """Trials that have room at a time, wherever Ray puts what is alike.

        Pieces that are alike leave no gaps, so they are counted node by node.
        """
        most = [_units(available.get(name, 0.0)) // _units(a) for name, a in self.total.items()]
        if self.piece:
            most.append(sum(_copies(self.piece, node) for node in nodes) // self.at_once)
        if self.workers:
            most.append(sum(_copies(self.worker, node) for node in nodes) // self.workers)
        return min(most)


def _copies(piece: Bundle, node: Mapping[str, float]) -> int:
    """How often a piece fits on a node; a share of a GPU is a share of one GPU."""
    copies = []
    for name, amount in piece.items():
        there = node.get(name, 0.0)
        if name == "GPU" and amount < 1:
            copies.append(int(there) * (UNIT // _units(amount)))
        else:
            copies.append(_units(there) // _units(amount))
    return min(copies)


def _units(amount: float) -> int:
    return round(amount * UNIT)

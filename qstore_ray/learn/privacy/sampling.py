"""Batches that every row joins by a coin of its own, as the accountant assumes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from qstore_ray.data.batches.batches import Batches
from qstore_ray.learn.privacy.noise import NoiseKey

if TYPE_CHECKING:
    from qstore_ray.types import IntArray


@dataclass(frozen=True, kw_only=True)
class PoissonBatches(Batches):
    """Each row joins each step with probability q = B / N, independently of all others.

    A row may come several times in an epoch, or not at all, and a batch may be empty: it is a step
    of noise alone, since leaving it out would reveal that nobody joined. An epoch has as many steps
    as one of batches of B rows.

    Args:
        n_rows: N, rows of the split.
        batch_size: B, the expected number of rows of a step.
        key: decides the coins; it must be secret.
    """

    n_rows: int
    batch_size: int
    key: NoiseKey

    @property
    def sample_rate(self) -> float:
        """q."""
        return min(1.0, self.batch_size / self.n_rows)

    @property
    def steps_per_epoch(self) -> int:
        """⌈N / B⌉."""
        return -(-self.n_rows // self.batch_size)

    def of_epoch(self, epoch: int) -> list[IntArray]:
        """The batches of `epoch`, each the positions of its rows in ascending order."""
        first = epoch * self.steps_per_epoch
        return [
            self.key.joined(step, self.n_rows, self.sample_rate)
            for step in range(first, first + self.steps_per_epoch)
        ]

"""First in, first out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qstore_ray.tune.schedulers.base import Scheduler
from qstore_ray.tune.space.space import Space

if TYPE_CHECKING:
    from ray.tune.schedulers import TrialScheduler


class FIFO(Scheduler):
    """Every trial trains to its end, in the order in which they were made."""

    def check(self, space: Space, objectives: int, epochs: int, parts: int) -> None:
        """Fits everything."""

    def open(self, space: Space, *, epochs: int | None, seed: int) -> TrialScheduler:
        """Ray's own."""
        from ray.tune.schedulers import FIFOScheduler

        return FIFOScheduler()  # type: ignore[no-untyped-call]

    def decides(self, epoch: int, epochs: int) -> bool:
        """False: it never ends a trial."""
        return False

"""What the workers of a training exchange, as its configuration says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from qstore_ray.learn.distributed.compression import SumsOfWorkers
from qstore_ray.train.config import TrainerConfig
from qstore_ray.train.distributed.averaging import Averager
from qstore_ray.train.distributed.compressing import CompressedSums
from qstore_ray.train.run.state import TrainState

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray


class GradientExchange(NamedTuple):
    """How one worker exchanges what it learns. Used in every worker, by all in the same order.

    Attributes:
        averager: of workers that take steps alone; None if they take all in step.
        compressed: sums of gradients in part; None if whole ones are added up.
    """

    averager: Averager | None = None
    compressed: CompressedSums | None = None

    def arrays(self, state: TrainState) -> dict[str, AnyArray]:
        """What a checkpoint has of all workers beside `state`. Called in all of them."""
        found: dict[str, AnyArray] = {}
        if self.averager is not None:
            found |= self.averager.arrays(state)
        if self.compressed is not None:
            found |= self.compressed.arrays()
        return found

    def resume(self, state: TrainState, arrays: Mapping[str, AnyArray]) -> TrainState:
        """The state of this worker, from that of a checkpoint."""
        if self.compressed is not None:
            self.compressed.resume(arrays)
        return state if self.averager is None else self.averager.resume(state, arrays)

    def take_note(self) -> tuple[str, dict[str, float]]:
        """What was measured and chosen since the last call, once: a sentence and its numbers."""
        facts = {} if self.averager is None else self.averager.take_note()
        if not facts:
            return "", facts
        sum_ms, step_ms = 1e3 * facts["sum_seconds"], 1e3 * facts["step_seconds"]
        said = f"a sum takes {sum_ms:.2g} ms and a step {step_ms:.2g} ms"
        return f"averaging.period is {facts['period']:.0f}: {said}", facts


def open_exchange(
    config: TrainerConfig, reducer: SumsOfWorkers, steps_per_epoch: int, size: int
) -> GradientExchange:
    """The exchange of a training of P parameters; that of any training if nothing is asked for.

    Args:
        size: P.
    """
    averages = config.averaging is not None and config.averaging.is_used
    compresses = config.compression is not None and config.compression.is_used
    return GradientExchange(
        Averager(config.averaging, reducer, steps_per_epoch)
        if config.averaging is not None and averages
        else None,
        CompressedSums(config.compression, reducer, size)
        if config.compression is not None and compresses
        else None,
    )

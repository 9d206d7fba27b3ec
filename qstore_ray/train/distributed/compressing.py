"""The sum of compressed gradients over workers, and what each of them still has to send."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from qstore_ray.learn.distributed.compression import (
    SumsOfWorkers,
    fed_back,
    get_compression,
)
from qstore_ray.learn.distributed.config import CompressionConfig

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, FloatArray

_RESIDUALS = "compression.residuals"


class CompressedSums:
    """A reducer of gradients that sends a part of them. Used in every worker, by all in order.

    Args:
        reducer: between the workers. size: P.

    Attributes:
        residual: what this worker has not sent yet (P,).
        n_bytes: of gradients that this worker has handed over.
    """

    def __init__(self, config: CompressionConfig, reducer: SumsOfWorkers, size: int) -> None:
        self.residual: FloatArray = np.zeros(size)
        self.n_bytes = 0
        self._compression = get_compression(config)
        self._reducer = reducer

    def add_up(self, gradient: FloatArray) -> FloatArray:
        """Σ over workers of what each sends of its own part of the gradient (P,)."""
        sent, self.residual = fed_back(self._compression, gradient, self.residual, self._reducer)
        self.n_bytes += sent.n_bytes
        return sent.total

    def arrays(self) -> dict[str, AnyArray]:
        """The residuals of all workers (W, P), for a checkpoint. Called in all of them."""
        rows = np.zeros((self._reducer.world_size, len(self.residual)))
        rows[self._reducer.rank] = self.residual
        return {_RESIDUALS: self._reducer.all_reduce(rows)}

    def resume(self, arrays: Mapping[str, AnyArray]) -> None:
        """Take this worker's residual from a checkpoint."""
        if _RESIDUALS in arrays:
            self.residual = arrays[_RESIDUALS][self._reducer.rank]

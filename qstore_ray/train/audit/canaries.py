"""Canaries: rows of a training whose gradients point where no other row's gradient does.

Canary i has the gradient 1000·C along a parameter of its own, which the model does not have. It is
clipped, sampled, summed and drowned in noise by the code that every row passes. A canary that was
left out has the gradient 0, so the number of rows, the sampling rate and the noise are those of the
training that is audited.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from qstore_ray.learn import clipping
from qstore_ray.learn.step import EXTRA
from qstore_ray.train.loop.objective import RowSelection, TrainingObjective

if TYPE_CHECKING:
    from qstore_ray.types import FloatArray, IntArray

_LARGE = 1000.0


class CanaryObjective:
    """A `TrainingObjective` over rows of which some are canaries.

    Args:
        inner: of the real rows; θ (P,).
        places: rows of the table that are canaries (m,). included: whether each is in (m,).
    """

    def __init__(self, inner: TrainingObjective, places: IntArray, included: FloatArray) -> None:
        self._inner = inner
        self._places = places
        self._included = included
        self.joined: list[IntArray] = []

    @property
    def usage(self) -> FloatArray:
        """Circuits and shots so far (2,)."""
        return self._inner.usage

    def for_training(self, seed: int, step: int) -> None:
        """See `TrainingObjective`."""
        self._inner.for_training(seed, step)
        self.joined.append(np.array([], np.int64))

    def gradient(
        self, theta: FloatArray, rows: RowSelection, clip: float | None = None
    ) -> FloatArray:
        """The blocks of the real rows, then one of the canaries: (blocks + 1, P + m + 3)."""
        index: Any = np.arange(len(rows.x)) if rows.index is None else rows.index
        self.joined[-1] = np.concatenate([self.joined[-1], index])
        is_canary = np.isin(index, self._places)
        real = replace(rows, index=index[~is_canary])
        n_real = len(theta) - len(self._places)
        found = self._inner.gradient(theta[:n_real], real, clip)
        result = np.zeros((len(found) + 1, len(theta) + EXTRA))
        result[:-1, :n_real] = found[:, :-EXTRA]
        result[:-1, -EXTRA:] = found[:, -EXTRA:]
        numbers = np.searchsorted(self._places, index[is_canary])
        canaries = np.zeros((len(numbers), len(theta)))
        size = _LARGE * (1.0 if clip is None else clip)
        canaries[np.arange(len(numbers)), n_real + numbers] = size * self._included[numbers]
        if clip is not None:
            canaries = clipping.clip_rows(canaries, clip)
        result[-1, :-EXTRA] = canaries.sum(axis=0)
        result[-1, -2] = len(numbers)
        return result

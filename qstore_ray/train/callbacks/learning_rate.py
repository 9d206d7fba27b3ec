"""The learning rate of every step, for looking at a schedule closely."""

from __future__ import annotations

import math
from array import array
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field, PrivateAttr

from qstore_ray.config import Config
from qstore_ray.train.callbacks.base import Callback
from qstore_ray.train.callbacks.run import Batch, Run

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from qstore_ray.learn.model import QuantumModel
    from qstore_ray.track.base import Record
    from qstore_ray.types import AnyArray, FloatArray


class _Rates:
    """Of a run: the range of the running epoch, and the rates kept: step, rate, step, rate, …"""

    def __init__(self, low: float = math.inf, high: float = -math.inf) -> None:
        self.low, self.high = low, high
        self.kept = array("d")


class LearningRateMonitor(Config, Callback):
    """Adds the lowest and highest learning rate of an epoch to its record. Runs in worker 0.

    The record's own `learning_rate` is that of the epoch's last step, which hides what a cyclic
    schedule or a warm-up does within an epoch. With `every`, the rates themselves are written to
    `<run_dir>/learning_rate.npy`, (rows, 2): step and rate.

    Args:
        every: steps between two rates that are kept; 0 keeps none.

    Examples:
        trainer = TrainerConfig(schedule="one_cycle", callbacks=[LearningRateMonitor(every=10)])
    """

    every: int = Field(default=0, ge=0)
    _rates: _Rates = PrivateAttr(default_factory=_Rates)

    def logged_metrics(self, model: QuantumModel) -> Iterable[str]:
        """The range."""
        return ("learning_rate_min", "learning_rate_max")

    def on_batch_end(self, run: Run, batch: Batch) -> None:
        """Note the rate."""
        rate, seen = run.state.learning_rate, self._rates
        seen.low, seen.high = min(seen.low, rate), max(seen.high, rate)
        if self.every and run.state.step % self.every == 0:
            seen.kept.extend((run.state.step, rate))

    def on_epoch_end(self, run: Run, record: Record) -> None:
        """Log the range of the epoch."""
        seen = self._rates
        if seen.low <= seen.high:  # a run that stopped exactly at the end of an epoch has none
            run.log(learning_rate_min=seen.low, learning_rate_max=seen.high)
        seen.low, seen.high = math.inf, -math.inf
        if self.every and run.run_dir is not None:
            np.save(run.run_dir / "learning_rate.npy", self._table())

    def state(self) -> Mapping[str, AnyArray]:
        """The range of the running epoch, and the rates kept."""
        seen = self._rates
        return {"range": np.array([seen.low, seen.high]), "kept": self._table()}

    def restore(self, state: Mapping[str, AnyArray]) -> None:
        """Continue within the epoch."""
        self._rates = _Rates(*state["range"].tolist())
        self._rates.kept.extend(state["kept"].ravel().tolist())

    def _table(self) -> FloatArray:
        return np.array(self._rates.kept).reshape(-1, 2)

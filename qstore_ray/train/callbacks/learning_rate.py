"""The learning rate of every step, for looking at a schedule closely."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field, PrivateAttr

from qstore_ray.config import Config
from qstore_ray.train.callbacks.base import Batch, Callback, Run

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qstore_ray.track.base import Record
    from qstore_ray.types import AnyArray


class LearningRateMonitor(Config, Callback):
    """Adds the lowest and highest learning rate of an epoch to its record. Runs in worker 0.

    The record's own `learning_rate` is that of the epoch's last step, which hides what a cyclic
    schedule or a warm-up does within an epoch. With `every`, the rates themselves are written to
    `<run_dir>/learning_rate.npy`, (rows, 2): step and rate.

    Args:
        every: steps between two rates that are kept; 0 keeps none.
    """

    every: int = Field(default=0, ge=0)
    _range: list[float] = PrivateAttr(default_factory=list)
    _kept: list[tuple[int, float]] = PrivateAttr(default_factory=list)

    def on_batch_end(self, run: Run, batch: Batch) -> None:
        """Note the rate."""
        rate = run.state.learning_rate
        low, high = self._range or (rate, rate)
        self._range = [min(low, rate), max(high, rate)]
        if self.every and run.state.step % self.every == 0:
            self._kept.append((run.state.step, rate))

    def on_epoch_end(self, run: Run, record: Record) -> None:
        """Log the range of the epoch."""
        if self._range:  # a run that stopped exactly at the end of an epoch has none
            run.log(learning_rate_min=self._range[0], learning_rate_max=self._range[1])
        self._range = []
        if self.every and run.run_dir is not None:
            np.save(run.run_dir / "learning_rate.npy", np.array(self._kept).reshape(-1, 2))

    def state(self) -> Mapping[str, AnyArray]:
        """The range of the running epoch, and the rates kept."""
        return {"range": np.array(self._range), "kept": np.array(self._kept).reshape(-1, 2)}

    def restore(self, state: Mapping[str, AnyArray]) -> None:
        """Go on within the epoch."""
        self._range = state["range"].tolist()
        self._kept = [(int(step), float(rate)) for step, rate in state["kept"]]

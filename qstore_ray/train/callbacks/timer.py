"""How long an epoch takes, and how many rows a second that is."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pydantic import PrivateAttr

from qstore_ray.config import Config
from qstore_ray.train.callbacks.base import Callback
from qstore_ray.train.callbacks.run import Run

if TYPE_CHECKING:
    from collections.abc import Iterable

    from qstore_ray.learn.model import QuantumModel
    from qstore_ray.track.base import Record


class Timer(Config, Callback):
    """Adds `epoch_seconds` and `samples_per_second` to every epoch. Runs in worker 0.

    The seconds are those of the steps and the validation. After a resume within an epoch they
    count from the resume on, and so do the samples.

    Examples:
        trainer = TrainerConfig(callbacks=[Timer()])
    """

    _began: float = PrivateAttr(default=0.0)
    _samples: int = PrivateAttr(default=0)

    def logged_metrics(self, model: QuantumModel) -> Iterable[str]:
        """Both."""
        return ("epoch_seconds", "samples_per_second")

    def on_epoch_begin(self, run: Run) -> None:
        """Start the clock."""
        self._began, self._samples = time.monotonic(), run.state.samples

    def on_epoch_end(self, run: Run, record: Record) -> None:
        """Log the epoch's."""
        seconds = time.monotonic() - self._began
        done = run.state.samples - self._samples
        run.log(epoch_seconds=round(seconds, 6), samples_per_second=round(done / seconds, 3))

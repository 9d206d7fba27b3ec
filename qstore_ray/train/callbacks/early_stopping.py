"""Early stopping: end a run when a metric has not improved for a while."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import PrivateAttr

from qstore_ray.learn.diagnostics.stopping import StoppingRule, monitored
from qstore_ray.train.callbacks.base import Callback
from qstore_ray.train.callbacks.run import Run

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from qstore_ray.learn.model import QuantumModel
    from qstore_ray.track.base import Record
    from qstore_ray.types import AnyArray

_BEST = "best_theta"


class EarlyStopping(StoppingRule, Callback):
    """Ends the run when the monitored metric has stopped improving. Runs in worker 0, each epoch.

    The options are those of `StoppingRule`. With `restore_best` the run ends with the parameters
    of its best epoch, whether or not it was stopped early; a copy of them is in every checkpoint.

    Examples:
        stopping = EarlyStopping(monitor="val_loss", patience=5)
        trainer = TrainerConfig(epochs=100, callbacks=[stopping])
    """

    decides: ClassVar[bool] = True
    ends_early: ClassVar[bool] = True
    _state: Any = PrivateAttr(default_factory=dict)
    _theta: Any = PrivateAttr(default=None)

    def logged_metrics(self, model: QuantumModel) -> Iterable[str]:
        """It logs nothing."""
        return ()

    def without_validation(self) -> tuple[Callback | None, tuple[str, ...]]:
        """None if it follows a metric of val: train would stop at its own noise."""
        if not self.monitor.startswith("val_"):
            return self, ()
        return None, (f"callback early_stopping removed: it watched {self.monitor}",)

    def on_train_begin(self, run: Run) -> None:
        """Begin to watch."""
        self._state = self._state or self.init()

    def on_epoch_end(self, run: Run, record: Record) -> None:
        """Check the metric; raises `ConfigError` if no metric has that name."""
        value = monitored({**record, **run.logged}, self.monitor)
        verdict, self._state = self.update(self._state, run.state.epoch, value)
        if verdict.improved and self.restore_best:
            self._theta = np.array(run.state.theta)
        if verdict.stop:
            run.end(verdict.reason)

    def on_train_end(self, run: Run) -> None:
        """Put the best parameters in place."""
        if self.restore_best and self._theta is not None:
            run.replace_parameters(self._theta)

    def state(self) -> Mapping[str, AnyArray]:
        """The rule's numbers, and the best parameters."""
        numbers = {name: np.array(value) for name, value in self._state.items()}
        return numbers if self._theta is None else {**numbers, _BEST: self._theta}

    def restore(self, state: Mapping[str, AnyArray]) -> None:
        """Continue from this state."""
        self._theta = state.get(_BEST)
        self._state = {name: float(value) for name, value in state.items() if name != _BEST}

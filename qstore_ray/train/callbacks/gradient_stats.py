"""What the gradient looks like: its size by part of the model, and how much it varies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import PrivateAttr

from qstore_ray.config import Config
from qstore_ray.train.callbacks.base import Callback
from qstore_ray.train.callbacks.run import Batch, Run

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from qstore_ray.learn.model import QuantumModel
    from qstore_ray.track.base import Record
    from qstore_ray.types import AnyArray, FloatArray

_NOTHING = np.zeros(0)
_NUMBERS_AT_ONCE = 2**14


class GradientStats(Config, Callback):
    """Adds the gradient's mean norm by part, and its variance, to each epoch. Runs in worker 0.

        gradient_norm_circuit, …_weights, …    mean over the steps of ‖∂loss/∂part‖
        gradient_variance                      mean over the circuit's parameters of the variance
                                               of ∂loss/∂θ_i over the steps of the epoch

    A circuit whose gradients shrink while the head's stay is the sign of a barren plateau
    (McClean et al. 2018, arXiv:1803.11173). Not for optimizers that use no gradient.

    Examples:
        trainer = TrainerConfig(callbacks=[GradientStats()])
    """

    _norms: Any = PrivateAttr(default_factory=lambda: _NOTHING)
    _sum: Any = PrivateAttr(default_factory=lambda: _NOTHING)
    _squares: Any = PrivateAttr(default_factory=lambda: _NOTHING)
    _steps: int = PrivateAttr(default=0)
    _parts: dict[str, slice] = PrivateAttr(default_factory=dict)
    _waiting: list[Any] = PrivateAttr(default_factory=list)

    def logged_metrics(self, model: QuantumModel) -> Iterable[str]:
        """A norm for each part of θ, and the variance."""
        return [*(f"gradient_norm_{name}" for name in _parts(model)), "gradient_variance"]

    def on_train_begin(self, run: Run) -> None:
        """Find the parts of θ."""
        self._parts = _parts(run.model)

    def on_batch_end(self, run: Run, batch: Batch) -> None:
        """Keep a step's gradient; adding up many at once costs a tenth."""
        waiting = self._waiting
        waiting.append(batch.gradient)
        if len(waiting) * len(batch.gradient) >= _NUMBERS_AT_ONCE:
            self._add_up()

    def on_epoch_end(self, run: Run, record: Record) -> None:
        """Log the means of the epoch and reset them."""
        self._add_up()
        if not self._steps:
            return
        for name, norm in zip(self._parts, self._norms / self._steps, strict=True):
            run.log(**{f"gradient_norm_{name}": float(norm)})
        if self._steps > 1 and len(self._sum):
            spread = self._squares - self._sum**2 / self._steps
            variance = np.maximum(spread, 0.0) / (self._steps - 1)
            run.log(gradient_variance=float(variance.mean()))
        self._steps = 0

    def _add_up(self) -> None:
        """Add the gradients that wait to the sums of the epoch."""
        if not self._waiting:
            return
        gradients = np.stack(self._waiting)
        circuit = gradients[:, self._parts["circuit"]]
        squares = gradients**2
        norms = [np.sqrt(squares[:, part].sum(axis=1)) for part in self._parts.values()]
        going_on = self._steps > 0
        self._norms = _added(self._norms if going_on else None, np.stack(norms, axis=1))
        self._sum = _added(self._sum if going_on else None, circuit)
        self._squares = _added(self._squares if going_on else None, circuit**2)
        self._steps, self._waiting = self._steps + len(gradients), []

    def state(self) -> Mapping[str, AnyArray]:
        """The sums over the running epoch."""
        self._add_up()
        return {
            "norms": self._norms,
            "sum": self._sum,
            "squares": self._squares,
            "steps": np.array(self._steps),
        }

    def restore(self, state: Mapping[str, AnyArray]) -> None:
        """Continue within the epoch."""
        self._norms, self._sum, self._squares = state["norms"], state["sum"], state["squares"]
        self._steps = int(state["steps"])


def _parts(model: QuantumModel) -> dict[str, slice]:
    """The places of the parts of θ that are not empty; the circuit's may be."""
    ends = np.cumsum(list(model.sizes.values())).tolist()
    places = zip(model.sizes, map(slice, [0, *ends], ends), strict=False)
    return {name: at for name, at in places if at.stop > at.start or name == "circuit"}


def _added(total: FloatArray | None, rows: FloatArray) -> FloatArray:
    """`total` + the first row + the second + …, one after the other: (n, k) to (k,).

    In this order, which `sum` does not promise, it does not matter how often the rows are added up:
    a run that was interrupted reports the same bits.
    """
    all_rows = rows if total is None else np.concatenate([total[None], rows])
    return np.asarray(np.add.accumulate(all_rows)[-1])

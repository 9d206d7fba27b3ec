"""What the gradient looks like: its size by part of the model, and how much it varies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import PrivateAttr

from qstore_ray.config import Config
from qstore_ray.train.callbacks.base import Batch, Callback, Run

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qstore_ray.track.base import Record
    from qstore_ray.types import AnyArray, FloatArray

_NOTHING = np.zeros(0)


class GradientStats(Config, Callback):
    """Adds the gradient's mean norm by part, and its variance, to each epoch. Runs in worker 0.

        gradient_norm_circuit, …_weights, …    mean over the steps of ‖∂loss/∂part‖
        gradient_variance                      mean over the circuit's parameters of the variance
                                               of ∂loss/∂θ_i over the steps of the epoch

    A circuit whose gradients shrink while the head's stay is the sign of a barren plateau
    (McClean et al. 2018, arXiv:1803.11173). Not for optimizers that use no gradient.
    """

    _norms: Any = PrivateAttr(default_factory=lambda: _NOTHING)
    _sum: Any = PrivateAttr(default_factory=lambda: _NOTHING)
    _squares: Any = PrivateAttr(default_factory=lambda: _NOTHING)
    _steps: int = PrivateAttr(default=0)

    def on_batch_end(self, run: Run, batch: Batch) -> None:
        """Add a step's gradient."""
        parts = _parts(run, batch.gradient)
        norms = np.array([np.sqrt(part @ part) for part in parts.values()])
        circuit = parts["circuit"]
        if self._steps:
            norms, first = norms + self._norms, self._sum
            self._sum, self._squares = first + circuit, self._squares + circuit**2
        else:
            self._sum, self._squares = circuit.copy(), circuit**2
        self._norms, self._steps = norms, self._steps + 1

    def on_epoch_end(self, run: Run, record: Record) -> None:
        """Log the means of the epoch, and begin anew."""
        if not self._steps:
            return
        names = _parts(run, run.state.theta)
        for name, norm in zip(names, self._norms / self._steps, strict=True):
            run.log(**{f"gradient_norm_{name}": float(norm)})
        if self._steps > 1 and len(self._sum):
            spread = self._squares - self._sum**2 / self._steps
            variance = np.maximum(spread, 0.0) / (self._steps - 1)
            run.log(gradient_variance=float(variance.mean()))
        self._steps = 0

    def state(self) -> Mapping[str, AnyArray]:
        """The sums over the running epoch."""
        return {
            "norms": self._norms,
            "sum": self._sum,
            "squares": self._squares,
            "steps": np.array(self._steps),
        }

    def restore(self, state: Mapping[str, AnyArray]) -> None:
        """Go on within the epoch."""
        self._norms, self._sum, self._squares = state["norms"], state["sum"], state["squares"]
        self._steps = int(state["steps"])


def _parts(run: Run, theta: FloatArray) -> dict[str, FloatArray]:
    """The parts of a vector like θ that are not empty, by name."""
    ends = np.cumsum(list(run.model.sizes.values()))
    pieces = np.split(theta, ends[:-1])
    sizes = zip(run.model.sizes, pieces, strict=True)
    return {name: piece for name, piece in sizes if len(piece) or name == "circuit"}

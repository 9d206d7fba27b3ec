"""All that a training step depends on: with the same state and data, the rest of a run is the same.

The state is numbers and arrays only. No generator state is kept, because every random choice is
keyed by the seed and the epoch. The sums over the running epoch are part of it, so that a run
resumed in mid-epoch also reports the same loss as one that was never interrupted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from qstore_ray.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qstore_ray.types import AnyArray, FloatArray

_COUNTERS = ("epoch", "step_in_epoch", "step", "samples", "ended")


@dataclass(frozen=True)
class TrainState:
    """A point between two steps.

    Attributes:
        theta: parameters.
        optimizer: the optimizer's arrays.
        schedule: the schedule's numbers.
        epoch: epochs completed. step_in_epoch: steps done in the next one. step: steps in all.
        samples: rows used in all.
        sums: of the running epoch: loss, rows, correct, gradient norm (4,).
        learning_rate: of the last step.
        ended: 1 if a callback has ended the run before its last epoch.
        metric: the monitored metric of the last epoch; NaN before the first one's end.
        usage: circuits and shots in all (2,).
        privacy: what a private run has spent, and which key its noise has; empty for any other.
    """

    theta: FloatArray
    optimizer: Mapping[str, FloatArray]
    schedule: Mapping[str, float]
    sums: FloatArray
    learning_rate: float
    epoch: int = 0
    step_in_epoch: int = 0
    step: int = 0
    samples: int = 0
    ended: int = 0
    metric: float = math.nan
    usage: FloatArray = field(default_factory=lambda: np.zeros(2))
    privacy: Mapping[str, AnyArray] = field(default_factory=dict)

    def to_arrays(self) -> dict[str, AnyArray]:
        """The state as named arrays; `from_arrays` gives it back bit for bit."""
        arrays: dict[str, AnyArray] = {
            "theta": self.theta,
            "sums": self.sums,
            "learning_rate": np.array(self.learning_rate),
            "metric": np.array(self.metric),
            "usage": self.usage,
        }
        arrays |= {f"optimizer.{name}": value for name, value in self.optimizer.items()}
        arrays |= {f"schedule.{name}": np.array(value) for name, value in self.schedule.items()}
        arrays |= {f"privacy.{name}": value for name, value in self.privacy.items()}
        arrays |= {name: np.array(getattr(self, name), np.int64) for name in _COUNTERS}
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, AnyArray], like: TrainState) -> TrainState:
        """The state that `to_arrays` wrote.

        Args:
            like: a fresh state of the same run; names and shapes must agree with it.

        Raises:
            CheckpointError: arrays that belong to another model or optimizer.
        """
        expected = like.to_arrays()
        shapes = {name: array.shape for name, array in arrays.items()}
        if shapes != {name: array.shape for name, array in expected.items()}:
            differ = sorted(set(shapes.items()) ^ {(n, a.shape) for n, a in expected.items()})
            raise CheckpointError(
                "the checkpoint belongs to another model or optimizer", value=differ[:3]
            )
        return replace(
            like,
            theta=arrays["theta"],
            sums=arrays["sums"],
            learning_rate=float(arrays["learning_rate"]),
            metric=float(arrays["metric"]),
            usage=arrays["usage"],
            optimizer={name: arrays[f"optimizer.{name}"] for name in like.optimizer},
            schedule={name: float(arrays[f"schedule.{name}"]) for name in like.schedule},
            privacy={name: arrays[f"privacy.{name}"] for name in like.privacy},
            **{name: int(arrays[name]) for name in _COUNTERS},
        )

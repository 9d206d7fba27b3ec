"""The targets of a regression, standardised for training and put back in predictions.

A circuit's outputs begin around 0 and move by small steps, so prices around 50,000 are out of their
reach. Training therefore sees (y − mean) / std, target by target, as seen on train; predictions are
outputs · std + mean, in the units of the data. A target that is constant on train becomes 0, and is
predicted as that constant.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, TypedDict

import numpy as np

from qstore_ray.data.prepare.steps import Standard
from qstore_ray.errors import DataError

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, FloatArray


class TargetSpec(TypedDict):
    """A scaling of T targets as JSON holds it."""

    mean: list[float]
    std: list[float]


@dataclass(frozen=True)
class TargetScaling:
    """y ↦ (y − mean) / std for each of T targets.

    Args:
        mean, std: of train, T numbers each; a std of 0 is of a constant target.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, y: AnyArray, weight: FloatArray | None = None) -> Self:
        """Mean and standard deviation of targets y (N,) or (N, T), weighted by `weight` (N,).

        Raises:
            DataError: targets so large that these overflow.
        """
        columns = np.asarray(y, np.float64).reshape(len(y), -1)
        with np.errstate(over="ignore", invalid="ignore"):
            state = Standard().fit(columns)
            mean, std = state["mean"], state["std"]
            if weight is not None:
                varies = std > 0.0
                mean = np.where(varies, weight @ columns / weight.sum(), mean)
                spread = weight @ (columns - mean) ** 2 / weight.sum()
                std = np.where(varies, np.sqrt(spread), 0.0)
        if not (np.isfinite(mean).all() and np.isfinite(std).all()):
            raise DataError(
                "the targets are too large: their mean or standard deviation is not finite",
                field="y",
                value=float(np.abs(columns).max()),
                fix="Give them in a larger unit, or as logarithms.",
            )
        return cls(tuple(mean.tolist()), tuple(std.tolist()))

    def apply(self, y: AnyArray) -> FloatArray:
        """Targets (N,) or (N, T) as training sees them, in the same shape."""
        columns = np.asarray(y, np.float64).reshape(-1, len(self.mean))  # there may be no row
        return Standard().apply(columns, self._state).reshape(y.shape)

    def undo(self, outputs: FloatArray) -> FloatArray:
        """Outputs (N, T), or of one target (N,), in the units of the data."""
        columns = outputs.reshape(-1, len(self.mean))
        return Standard().invert(columns, self._state).reshape(outputs.shape)

    def spec(self) -> TargetSpec:
        """The numbers, JSON-ready; `from_spec` gives the scaling back bit for bit."""
        return {"mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_spec(cls, spec: TargetSpec | None) -> Self | None:
        """Restore the scaling written by `spec`; None if `spec` is None."""
        return None if spec is None else cls(tuple(spec["mean"]), tuple(spec["std"]))

    @property
    def _state(self) -> dict[str, FloatArray]:
        return {"mean": np.array(self.mean), "std": np.array(self.std)}


def nothing_to_learn(y: AnyArray) -> str:
    """A warning where targets (N,) or (N, T) of train are all the same, else ""."""
    columns = np.asarray(y).reshape(len(y), -1)
    same = np.flatnonzero((columns == columns[:1]).all(axis=0)).tolist()
    if not same:
        return ""
    many = columns.shape[1] > 1
    which = f"target {', '.join(str(number + 1) for number in same)}" if many else "the target"
    return f"{which} is the same in all rows of train: there is nothing to learn"

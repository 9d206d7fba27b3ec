"""Seconds of a training from its plan, fitted on the trainings of the table.

    t = a · steps + b · engine seconds

The engine's seconds are those of the cost model behind `qstore estimate`, on this machine; a is
what a step takes around it. Relative errors are what counts, so rows are weighted by 1/t². The band
of 90 % holds the ratio of measured and predicted seconds of trainings that were left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from qstore_ray.advise.candidates import Candidate
from qstore_ray.advise.training_plan import plan_training
from qstore_ray.simulate.cost import calibrate

if TYPE_CHECKING:
    from qstore_ray.advise.table import AdviceTable
    from qstore_ray.types import AnyArray, FloatArray

_ROUNDS = 30
_OTHER = ("spsa", "qng")
"""Optimizers that evaluate more than one gradient a step, each with a factor of its own."""


@dataclass(frozen=True)
class SecondsModel:
    """The fitted law.

    Attributes:
        step: seconds of a step around the engine. engine: seconds for each of the engine's.
        low, high: 90 % of the measured seconds lie between these factors of the predicted ones.
        factors: of optimizers that evaluate more than a gradient a step.
    """

    step: float
    engine: float
    low: float
    high: float
    factors: Mapping[str, float]

    @classmethod
    def fit(cls, trainings: Mapping[str, AnyArray]) -> SecondsModel:
        """From the single trainings of a table (N,), column by column."""
        seconds = trainings["seconds"].astype(np.float64)
        there = np.isfinite(seconds) & (seconds > 0.0)
        design = np.stack([trainings["steps"], trainings["engine_seconds"]], axis=1)
        design = design.astype(np.float64)
        names = trainings["optimizer"]
        usual = there & ~np.isin(names, _OTHER)
        factors = _positive_fit(design[usual], seconds[usual])
        with np.errstate(invalid="ignore"):
            ratio = seconds / (design @ factors)
        low, high = np.quantile(ratio[usual], [0.05, 0.95])
        others = {
            name: float(np.median(ratio[there & (names == name)]))
            for name in _OTHER
            if (there & (names == name)).any()
        }
        return cls(float(factors[0]), float(factors[1]), float(low), float(high), others)

    def predict(
        self, steps: AnyArray | float, engine: AnyArray | float, optimizer: str = "adam"
    ) -> FloatArray:
        """Seconds for so many steps with so many seconds of the engine."""
        found: FloatArray = self.step * np.asarray(steps) + self.engine * np.asarray(engine)
        return found * self.factors.get(optimizer, 1.0)


def training_seconds(
    table: AdviceTable, chosen: Sequence[Candidate], rows: int, columns: int, classes: int
) -> FloatArray:
    """Seconds (C,) of training each candidate on so many rows, on this machine."""
    model, speed = SecondsModel.fit(table.trainings), calibrate()
    found = []
    for candidate in chosen:
        plan = plan_training(candidate, rows, columns, classes, speed)
        found.append(float(model.predict(*plan, candidate.optimizer)))
    return np.array(found)


def _positive_fit(design: FloatArray, seconds: FloatArray) -> FloatArray:
    """Least absolute relative error with both factors at least 0, by reweighting."""
    from scipy.optimize import nnls

    scaled = design / seconds[:, None]
    weight = np.ones(len(seconds))
    factors = np.ones(2)
    for _ in range(_ROUNDS):
        factors = nnls(scaled * weight[:, None], weight)[0]
        weight = 1.0 / np.sqrt(np.maximum(np.abs(scaled @ factors - 1.0), 1e-3))
    return factors

"""Scaling of columns: each column is shifted and stretched by what was seen of it in train.

Columns are scaled apart and rows are not: rows that differ by a factor stay different.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, Literal, Self

import numpy as np
from pydantic import model_validator

from qstore_ray.data.prepare.steps.base import (
    State,
    Step,
    constant_columns,
    mean_of,
    row_blocks,
    shift_and_divide,
)
from qstore_ray.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from qstore_ray.types import FloatArray


class Standard(Step):
    """(x − mean) / standard deviation, column by column.

    A column that is constant in train becomes 0 in every split.
    """

    name: Literal["standard"] = "standard"
    keeps_columns: ClassVar[bool] = True

    def fit(self, x: FloatArray) -> State:
        """Mean (F,) and population standard deviation (F,), which is 0 for a constant column."""
        constant = constant_columns(x)
        mean, squares = mean_of(x, constant), np.zeros(x.shape[1])
        for rows in row_blocks(x):
            centred = x[rows] - mean
            squares += np.einsum("nf,nf->f", centred, centred)
        return {"mean": mean, "std": np.sqrt(squares / len(x))}

    def apply(self, x: FloatArray, state: State) -> FloatArray:
        """The rows `x` (B, F) centred and scaled, (B, F)."""
        return shift_and_divide(x, state["mean"], state["std"])

    def invert(self, x: FloatArray, state: State) -> FloatArray:
        """x · std + mean; a column that was constant in train gets its value back."""
        return x * state["std"] + state["mean"]


class Robust(Step):
    """(x − median) / interquartile range, column by column: outliers do not set the scale.

    The range is between the quartiles of train (25 % and 75 %, linear between rows). A column in
    which it is 0, though not all rows are equal, is centred only; one that is constant in train
    becomes 0 in every split.
    """

    name: Literal["robust"] = "robust"
    keeps_columns: ClassVar[bool] = True

    def fit(self, x: FloatArray) -> State:
        """Median (F,) and interquartile range (F,)."""
        lower, median, upper = np.percentile(x, (25.0, 50.0, 75.0), axis=0)
        constant = x.min(axis=0) == x.max(axis=0)
        iqr = upper - lower
        iqr = np.where(constant, 0.0, np.where(iqr > 0.0, iqr, 1.0))
        return {"median": np.where(constant, x[0], median), "iqr": iqr}

    def apply(self, x: FloatArray, state: State) -> FloatArray:
        """The rows `x` (B, F) centred and scaled, (B, F)."""
        return shift_and_divide(x, state["median"], state["iqr"])

    def invert(self, x: FloatArray, state: State) -> FloatArray:
        """x · range + median."""
        return x * state["iqr"] + state["median"]


class MinMax(Step):
    """low + (x − min) / (max − min) · (high − low), column by column; [0, π] by default.

    Rows outside train's range come out outside [low, high], unless `clip` is set. A column that is
    constant in train becomes `low` in every split.
    """

    name: Literal["minmax"] = "minmax"
    keeps_columns: ClassVar[bool] = True
    feature_range: tuple[float, float] = (0.0, math.pi)
    clip: bool = False

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        if not self.feature_range[0] < self.feature_range[1]:
            raise ConfigError(
                "the range is written [low, high] with low < high",
                field="feature_range",
                value=self.feature_range,
            )
        return self

    def fit(self, x: FloatArray) -> State:
        """Minimum (F,) and span max − min (F,)."""
        low = x.min(axis=0)
        return {"low": low, "span": x.max(axis=0) - low}

    def apply(self, x: FloatArray, state: State) -> FloatArray:
        """The rows `x` (B, F) mapped to the range, (B, F)."""
        low, high = self.feature_range
        scaled = low + shift_and_divide(x, state["low"], state["span"]) * (high - low)
        return np.clip(scaled, low, high) if self.clip else scaled

    def invert(self, x: FloatArray, state: State) -> FloatArray:
        """min + (x − low) / (high − low) · span; what was clipped comes back as train's bound."""
        low, high = self.feature_range
        return state["low"] + (x - low) / (high - low) * state["span"]


class Scale(Step):
    """factor · x, the same factor for every column: sets how strongly data turns the qubits."""

    name: Literal["scale"] = "scale"
    keeps_columns: ClassVar[bool] = True
    factor: float

    def fit(self, x: FloatArray) -> State:
        """Nothing to learn."""
        return {}

    def apply(self, x: FloatArray, state: State) -> FloatArray:
        """The rows `x` (B, F) times the factor, (B, F)."""
        return self.factor * x

    def invert(self, x: FloatArray, state: State) -> FloatArray:
        """x / factor.

        Raises:
            UsageError: the factor is 0.
        """
        if self.factor == 0.0:
            raise UsageError(
                "the step scale has no inverse: its factor is 0",
                field="preprocessing.scale.factor",
                value=self.factor,
                fix="Take a factor other than 0.",
            )
        return x / self.factor

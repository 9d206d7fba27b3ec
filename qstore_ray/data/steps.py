"""Steps of preparation: array functions with a state that is fitted on the training rows.

A step is `fit(x) -> state` and `apply(x, state) -> x'`: both pure, the state a dictionary of plain
arrays. Its own fields are its configuration, checked when the configuration is built. Every step
treats each row by itself: a batch gives, to the last bit, what its rows give one by one. A new step
is one class here and one line in `STEPS`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, Self, TypeAlias

import numpy as np
from pydantic import Field, model_validator

from qstore_ray.data.step_config import StepConfig
from qstore_ray.errors import ConfigError, DataError

if TYPE_CHECKING:
    from qstore_ray.types import FloatArray

State: TypeAlias = "Mapping[str, FloatArray]"


class Step(StepConfig, ABC):
    """A transformation of rows whose state is learnt from the training rows."""

    @abstractmethod
    def fit(self, x: FloatArray) -> State:
        """The state learnt from the training rows `x` (N, F)."""

    @abstractmethod
    def apply(self, x: FloatArray, state: State) -> FloatArray:
        """The rows `x` (B, F) transformed, (B, F')."""


class Standard(Step):
    """(x − mean) / standard deviation, column by column.

    A column that is constant in train becomes 0 in every split.
    """

    name: Literal["standard"] = "standard"

    def fit(self, x: FloatArray) -> State:
        """Mean (F,) and population standard deviation (F,), which is 0 for a constant column."""
        constant = x.min(axis=0) == x.max(axis=0)  # its computed deviation may be 1e-17, not 0
        return {"mean": _mean(x), "std": np.where(constant, 0.0, x.std(axis=0))}

    def apply(self, x: FloatArray, state: State) -> FloatArray:
        """The rows `x` (B, F) centred and scaled, (B, F)."""
        return _divide(x - state["mean"], state["std"])


class MinMax(Step):
    """low + (x − min) / (max − min) · (high − low), column by column; [0, π] by default.

    Rows outside train's range come out outside [low, high], unless `clip` is set. A column that is
    constant in train becomes `low` in every split.
    """

    name: Literal["minmax"] = "minmax"
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
        scaled = low + _divide(x - state["low"], state["span"]) * (high - low)
        return np.clip(scaled, low, high) if self.clip else scaled


class Pca(Step):
    """Projection on the directions of largest variance in train: (x − mean) · Vᵀ (Pearson 1901).

    Each direction's sign is chosen such that its entry of largest magnitude is positive. With
    `whiten` the components are divided by their standard deviation in train; a component without
    variance becomes 0.

    Args:
        components: how many directions to keep; at most the number of features and train rows.
        whiten: give every component unit variance.
    """

    name: Literal["pca"] = "pca"
    components: int = Field(ge=1)
    whiten: bool = False

    def fit(self, x: FloatArray) -> State:
        """Mean (F,), directions (components, F), standard deviations (components,)."""
        if self.components > min(x.shape):
            raise ConfigError(
                f"{x.shape[0]} training rows of {x.shape[1]} features have at most "
                f"{min(x.shape)} components",
                field="preprocessing.pca.components",
                value=self.components,
            )
        mean = _mean(x)
        try:
            # The triangle R of x = QR has the same directions and takes half the time.
            triangle = np.linalg.qr(x - mean, mode="r")
            _, singular, rows = np.linalg.svd(triangle, full_matrices=False)
        except np.linalg.LinAlgError as exc:
            raise DataError(
                f"the training rows have no principal components: {exc}",
                field="preprocessing.pca",
                fix="The features are too large; put a standard, scale or log1p step before it.",
            ) from exc
        largest = np.argmax(np.abs(rows), axis=1)
        rows = rows * np.sign(rows[np.arange(len(rows)), largest])[:, None]
        noise = singular[0] * max(x.shape) * np.finfo(np.float64).eps
        std = np.where(singular < noise, 0.0, singular) / math.sqrt(len(x))
        kept = slice(self.components)
        return {"mean": mean, "directions": rows[kept].copy(), "std": std[kept].copy()}

    def apply(self, x: FloatArray, state: State) -> FloatArray:
        """The rows `x` (B, F) in the new coordinates, (B, components)."""
        centred = x - state["mean"]
        # A matrix product rounds a row differently in batches of different sizes; these sums do
        # not, so that rows are equal to the last bit however the data is cut into tasks.
        projected = np.stack([(centred * v).sum(axis=1) for v in state["directions"]], axis=1)
        return _divide(projected, state["std"]) if self.whiten else projected


class Scale(Step):
    """factor · x, the same factor for every column: sets how strongly data turns the qubits."""

    name: Literal["scale"] = "scale"
    factor: float

    def fit(self, x: FloatArray) -> State:
        """Nothing to learn."""
        return {}

    def apply(self, x: FloatArray, state: State) -> FloatArray:
        """The rows `x` (B, F) times the factor, (B, F)."""
        return self.factor * x


class Normalize(Step):
    """x / ‖x‖₂, row by row; a row of zeros stays a row of zeros."""

    name: Literal["normalize"] = "normalize"

    def fit(self, x: FloatArray) -> State:
        """Nothing to learn."""
        return {}

    def apply(self, x: FloatArray, state: State) -> FloatArray:
        """The rows `x` (B, F) with norm 1, (B, F)."""
        largest = np.abs(x).max(axis=1, keepdims=True)
        safe = _divide(x, largest)  # squares of 1e200 or 1e-200 would leave float64
        return _divide(safe, np.linalg.norm(safe, axis=1, keepdims=True))


class Log1p(Step):
    """log(1 + x), for counts and other quantities with a long tail; needs x > −1."""

    name: Literal["log1p"] = "log1p"

    def fit(self, x: FloatArray) -> State:
        """Nothing to learn."""
        return {}

    def apply(self, x: FloatArray, state: State) -> FloatArray:
        """log(1 + x) of the rows `x` (B, F).

        Raises:
            DataError: a value is −1 or less.
        """
        if x.size and x.min() <= -1.0:
            row, column = divmod(int(np.argmax(x <= -1.0)), x.shape[1])
            raise DataError(
                f"log1p needs values above -1, column {column} of row {row} of the batch is not",
                field="preprocessing.log1p",
                value=float(x[row, column]),
            )
        return np.log1p(x)


STEPS: dict[str, type[Step]] = {
    "log1p": Log1p,
    "minmax": MinMax,
    "normalize": Normalize,
    "pca": Pca,
    "scale": Scale,
    "standard": Standard,
}


def _mean(x: FloatArray) -> FloatArray:
    """Mean (F,) of the rows `x` (N, F); exact for a constant column, so that centring gives 0."""
    low = x.min(axis=0)
    mean: FloatArray = np.where(low == x.max(axis=0), low, x.mean(axis=0))
    return mean


def _divide(x: FloatArray, by: FloatArray) -> FloatArray:
    """x / by, and 0 where `by` is 0."""
    return np.where(by > 0.0, x / np.where(by > 0.0, by, 1.0), 0.0)

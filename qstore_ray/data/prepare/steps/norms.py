"""Norms of rows: each row divided by its own length, so that only its direction is left."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from qstore_ray.data.prepare.steps.base import State, Step, divide

if TYPE_CHECKING:
    from qstore_ray.types import FloatArray


class Normalize(Step):
    """x / ‖x‖₂, row by row; a row of zeros stays a row of zeros."""

    name: Literal["normalize"] = "normalize"
    keeps_columns: ClassVar[bool] = True

    def fit(self, x: FloatArray) -> State:
        """Nothing to learn."""
        return {}

    def apply(self, x: FloatArray, state: State) -> FloatArray:
        """The rows `x` (B, F) with norm 1, (B, F)."""
        safe = by_largest(x)
        return divide(safe, np.linalg.norm(safe, axis=1, keepdims=True))


class L1(Step):
    """x / Σ|x_i|, row by row: shares of the row's total; a row of zeros stays a row of zeros."""

    name: Literal["l1"] = "l1"
    keeps_columns: ClassVar[bool] = True

    def fit(self, x: FloatArray) -> State:
        """Nothing to learn."""
        return {}

    def apply(self, x: FloatArray, state: State) -> FloatArray:
        """The rows `x` (B, F) with absolute values that sum to 1, (B, F)."""
        safe = by_largest(x)
        return divide(safe, np.abs(safe).sum(axis=1, keepdims=True))


def by_largest(x: FloatArray) -> FloatArray:
    """`x` (B, F), each row over its largest |x_i|: squares of 1e200 or 1e-200 leave float64."""
    return divide(x, np.abs(x).max(axis=1, keepdims=True))

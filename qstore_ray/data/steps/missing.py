"""Missing values, filled in from what is known of their column in train."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from qstore_ray.data.steps.base import State, Step, refuse
from qstore_ray.errors import DataError

if TYPE_CHECKING:
    from qstore_ray.types import FloatArray


class Impute(Step):
    """x where it is a number; elsewhere (NaN) the mean or median of its column, or a constant.

    The one step that takes NaN; infinity is refused here as everywhere. Stands first, since the
    other steps take numbers only.

    Args:
        strategy: mean or median of the column's known values in train, or `constant`.
        value: what `constant` fills in.
    """

    name: Literal["impute"] = "impute"
    accepts_nan: ClassVar[bool] = True
    strategy: Literal["mean", "median", "constant"] = "mean"
    value: float = 0.0

    def fit(self, x: FloatArray) -> State:
        """What each column is filled with (F,).

        Raises:
            DataError: infinity, or a column without a single known value.
        """
        self._no_infinity(x)
        if self.strategy == "constant":
            return {"fill": np.full(x.shape[1], self.value)}
        empty = np.isnan(x).all(axis=0)
        if empty.any():
            raise DataError(
                f"column {int(np.argmax(empty))} has no {self.strategy}: "
                "every value of it in train is missing",
                field="preprocessing.impute",
                fix='Leave the column out, or set strategy = "constant".',
            )
        fill = np.nanmean(x, axis=0) if self.strategy == "mean" else np.nanmedian(x, axis=0)
        return {"fill": np.asarray(fill, dtype=np.float64)}

    def apply(self, x: FloatArray, state: State) -> FloatArray:
        """The rows `x` (B, F) without NaN, (B, F).

        Raises:
            DataError: infinity.
        """
        self._no_infinity(x)
        return np.where(np.isnan(x), state["fill"], x)

    def invert(self, x: FloatArray, state: State) -> FloatArray:
        """`x` itself: what was filled in stays filled in."""
        return x.copy()

    def _no_infinity(self, x: FloatArray) -> None:
        refuse(
            x,
            np.isinf(x),
            self.name,
            "numbers or NaN",
            fix="An infinite value is not a missing one: remove such rows, or write NaN.",
        )

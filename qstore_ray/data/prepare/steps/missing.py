"""Missing values, filled in from what is known of their column in train."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from qstore_ray.data.prepare.steps.base import State, Step, refuse
from qstore_ray.errors import DataError

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, FloatArray


class Impute(Step):
    """Replace NaN by a statistic of its column in train, or by a constant.

    The one step that takes NaN; infinity is refused here as everywhere. Stands first, since the
    other steps take numbers only.

    Args:
        strategy: mean, median or most frequent of the column's known values in train, or
            `constant`.
        value: what `constant` fills in.
        most_frequent: positions of columns that are filled with their most frequent value under any
            strategy; the categories of a table always are.
    """

    name: Literal["impute"] = "impute"
    keeps_columns: ClassVar[bool] = True
    accepts_nan: ClassVar[bool] = True
    strategy: Literal["mean", "median", "most_frequent", "constant"] = "mean"
    value: float = 0.0
    most_frequent: tuple[int, ...] = ()

    def fit(self, x: FloatArray) -> State:
        """What each column is filled with (F,).

        Raises:
            DataError: infinity, or a column without a single known value.
        """
        self.no_infinity(x)
        frequent = [place for place in self.most_frequent if place < x.shape[1]]
        empty = np.asarray(np.isnan(x).all(axis=0))
        if self.strategy == "constant":
            empty[[place for place in range(x.shape[1]) if place not in frequent]] = False
        self.check_known(empty)
        fill = np.asarray(self._fill(x), dtype=np.float64)
        for place in frequent:
            fill[place] = _most_frequent(x[:, place])
        return {"fill": fill}

    def check_known(self, empty: AnyArray) -> None:
        """Raise `DataError` for the first column (F,) that is `empty` in train, if there is one."""
        if empty.any():
            raise DataError(
                f"column {int(np.argmax(empty))} has no {self.strategy}: "
                "every value of it in train is missing",
                field="preprocessing.impute",
                fix='Leave the column out, or set strategy = "constant".',
            )

    def _fill(self, x: FloatArray) -> FloatArray:
        if self.strategy == "constant":
            return np.full(x.shape[1], self.value)
        if self.strategy == "most_frequent":
            return np.array([_most_frequent(column) for column in x.T])
        return np.nanmean(x, axis=0) if self.strategy == "mean" else np.nanmedian(x, axis=0)

    def apply(self, x: FloatArray, state: State) -> FloatArray:
        """The rows `x` (B, F) without NaN, (B, F).

        Raises:
            DataError: infinity.
        """
        self.no_infinity(x)
        return np.where(np.isnan(x), state["fill"], x)

    def invert(self, x: FloatArray, state: State) -> FloatArray:
        """`x` itself: what was filled in stays filled in."""
        return x.copy()

    def no_infinity(self, x: FloatArray) -> None:
        """Raise `DataError` for the first infinite value of `x` (B, F), if there is one."""
        refuse(
            x,
            np.isinf(x),
            self.name,
            "numbers or NaN",
            fix="An infinite value is not a missing one: remove such rows, or write NaN.",
        )


def _most_frequent(column: FloatArray) -> float:
    """The most frequent value that is not missing; of equals the smallest."""
    values, counts = np.unique(column[~np.isnan(column)], return_counts=True)
    return float(values[np.argmax(counts)])

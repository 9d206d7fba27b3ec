"""Logarithms, for counts and other quantities with a long tail."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from qstore_ray.data.prepare.steps.base import State, Step, refuse

if TYPE_CHECKING:
    from qstore_ray.types import FloatArray


class Log1p(Step):
    """log(1 + x), for counts and other quantities with a long tail; needs x > −1."""

    name: Literal["log1p"] = "log1p"
    keeps_columns: ClassVar[bool] = True

    def fit(self, x: FloatArray) -> State:
        """Nothing to learn."""
        return {}

    def apply(self, x: FloatArray, state: State) -> FloatArray:
        """log(1 + x) of the rows `x` (B, F).

        Raises:
            DataError: a value is −1 or less.
        """
        refuse(x, x <= -1.0, self.name, "values above -1")
        return np.log1p(x)

    def invert(self, x: FloatArray, state: State) -> FloatArray:
        """e^x − 1."""
        return np.expm1(x)


class Log(Step):
    """log(x), which turns factors into distances; needs x > 0."""

    name: Literal["log"] = "log"
    keeps_columns: ClassVar[bool] = True

    def fit(self, x: FloatArray) -> State:
        """Nothing to learn."""
        return {}

    def apply(self, x: FloatArray, state: State) -> FloatArray:
        """log(x) of the rows `x` (B, F).

        Raises:
            DataError: a value is 0 or less.
        """
        refuse(
            x, x <= 0.0, self.name, "values above 0", fix="Where 0 is a value, use the step log1p."
        )
        return np.log(x)

    def invert(self, x: FloatArray, state: State) -> FloatArray:
        """e^x."""
        return np.exp(x)

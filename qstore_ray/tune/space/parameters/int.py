"""A whole number of a range, in steps, or evenly in the logarithm."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, model_validator

from qstore_ray.tune.space.parameters.base import (
    LARGEST_INT,
    MOST_POINTS,
    Parameter,
    check_range,
    two_ways_error,
)

if TYPE_CHECKING:
    from optuna.trial import BaseTrial


class IntParameter(Parameter):
    """A whole number in [low, high]; the arguments are explained above."""

    type: Literal["int"] = "int"
    low: int = Field(strict=True, ge=-LARGEST_INT, le=LARGEST_INT)
    high: int = Field(strict=True, ge=-LARGEST_INT, le=LARGEST_INT)
    log: bool = False
    step: int = Field(default=1, strict=True, ge=1, le=LARGEST_INT)
    points: int | None = Field(default=None, strict=True, ge=2, le=MOST_POINTS)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        check_range(self.low, self.high, log=self.log, stepped=self.step != 1)
        if self.points is not None and self.step != 1:
            raise two_ways_error(self.points)
        return self

    def suggest(self, trial: BaseTrial, field: str) -> int:
        """A whole number drawn by Optuna."""
        top = self._range()[-1]
        return int(trial.suggest_int(field, self.low, top, step=self.step, log=self.log))

    def at(self, u: float) -> int:
        """The number that u falls on, where all have the same share (of the logarithm)."""
        if not self.log:
            every = self._range()
            return every[min(int(u * len(every)), len(every) - 1)]
        low, high = math.log(self.low - 0.5), math.log(self.high + 0.5)
        return min(max(round(math.exp(low + u * (high - low))), self.low), self.high)

    def grid(self) -> Sequence[int]:
        """Every number, or about `points` of them, from low to high."""
        if self.points is None:
            return self._range()
        shares = (k / (self.points - 1) for k in range(self.points))
        if self.log:
            ratio = self.high / self.low
            return sorted({round(self.low * ratio**u) for u in shares})
        return sorted({round(self.low + u * (self.high - self.low)) for u in shares})

    def contains(self, value: Any) -> bool:
        """A whole number within the bounds, on a step."""
        return isinstance(value, int) and not isinstance(value, bool) and value in self._range()

    def probes(self) -> Mapping[str, object]:
        """Both ends."""
        return {"low": self.low, "high": self._range()[-1]}

    def _range(self) -> range:
        return range(self.low, self.high + 1, self.step)

"""A number of a range: evenly drawn, in steps, or evenly in the logarithm."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, model_validator

from qstore_ray.errors import ConfigError
from qstore_ray.tune.space.parameters.base import (
    MOST_POINTS,
    Parameter,
    check_range,
    two_ways_error,
)

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

_LARGEST = 1e100  # of a bound: sums and products of two stay finite
_GOLDEN = 0.381966  # a share of a range that no round number of parts hits


class FloatParameter(Parameter):
    """A number in [low, high]; the arguments are explained above."""

    type: Literal["float"] = "float"
    low: float = Field(strict=True, ge=-_LARGEST, le=_LARGEST)
    high: float = Field(strict=True, ge=-_LARGEST, le=_LARGEST)
    log: bool = False
    step: float | None = Field(default=None, strict=True, gt=0.0)
    points: int | None = Field(default=None, strict=True, ge=2, le=MOST_POINTS)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        check_range(self.low, self.high, log=self.log, stepped=self.step is not None)
        if self.step is None:
            return self
        if (self.high - self.low) / self.step > MOST_POINTS:
            raise ConfigError(
                f"more than {MOST_POINTS} steps from low to high",
                field="step",
                value=self.step,
                fix="Take a larger step, or none.",
            )
        if self.points is not None:
            raise two_ways_error(self.points)
        # Optuna computes in decimals too, and would else take the last step for a part of one.
        exact = Decimal(str(self.low)) + self._steps() * Decimal(str(self.step))
        if Decimal(str(float(exact))) != exact:
            raise ConfigError(
                f"the last step would be {exact}, which has too many digits",
                field="step",
                value=self.step,
                fix="Write low and step with fewer digits.",
            )
        return self

    def suggest(self, trial: BaseTrial, field: str) -> float:
        """A number drawn by Optuna, within the bounds to the last bit."""
        top = self.high if self.step is None else self._nth(self._steps())
        value = trial.suggest_float(field, self.low, top, step=self.step, log=self.log)
        return min(max(float(value), self.low), top)

    def at(self, u: float) -> float:
        """low + u (high − low), or the same in the logarithm, or the step that u falls on."""
        if self.step is not None:
            return self._nth(min(int(u * (self._steps() + 1)), self._steps()))
        return self._share(u)

    def grid(self) -> Sequence[float]:
        """Every step, or `points` values from low to high.

        Raises:
            ConfigError: neither a step nor `points` says which values.
        """
        if self.step is not None:
            return [self._nth(k) for k in range(self._steps() + 1)]
        if self.low == self.high:
            return [self.low]
        if self.points is None:
            raise ConfigError(
                "a grid needs to know how many values to take of this range",
                field="points",
                fix="Write for example points = 5, or a step.",
            )
        return [self._share(k / (self.points - 1)) for k in range(self.points)]

    def contains(self, value: Any) -> bool:
        """Whether it is a number within the bounds, and on a step if the range has steps."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        if not self.low <= value <= self.high:  # also false for NaN
            return False
        place = 0.0 if self.step is None else (value - self.low) / self.step
        return abs(place - round(place)) < 1e-6

    def probes(self) -> Mapping[str, object]:
        """Both ends, and a number between: a field of whole numbers accepts the ends alone."""
        high = self.high if self.step is None else self._nth(self._steps())
        return {"low": self.low, "high": high, "between": self.at(_GOLDEN)}

    def _steps(self) -> int:
        low, high, step = (Decimal(str(x)) for x in (self.low, self.high, self.step))
        return int((high - low) // step)

    def _nth(self, k: int) -> float:
        return float(Decimal(str(self.low)) + k * Decimal(str(self.step)))

    def _share(self, u: float) -> float:
        if self.log:
            low, high = math.log(self.low), math.log(self.high)
            value = math.exp(low + u * (high - low))
        else:
            value = self.low + u * (self.high - self.low)
        return min(max(value, self.low), self.high)

"""Augmentation of plain features: noise that is added, and noise that multiplies.

A width that is drawn for a whole row (how much darker, how far turned) is one number a row; noise
is one number a feature.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from qstore_ray.data.augment.base import Augmentation, Keys, Shape
from qstore_ray.errors import ConfigError

if TYPE_CHECKING:
    from qstore_ray.types import FloatArray


class Clipped(Augmentation):
    """An augmentation whose values may have to stay within limits.

    Args:
        limits: [low, high] that changed rows are clipped to, such as [0, 16] for pixels; no limits
            by default.
    """

    limits: tuple[float, float] | None = None

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        if self.limits is not None and not self.limits[0] < self.limits[1]:
            raise ConfigError(
                "limits are written [low, high] with low < high", field="limits", value=self.limits
            )
        return self

    def clip(self, x: FloatArray) -> FloatArray:
        """`x` within the limits."""
        return x if self.limits is None else np.clip(x, *self.limits)


class GaussianNoise(Clipped):
    """x + ε with ε ~ N(0, std²), independent for every feature; also for pixels.

    Args:
        std: in the units of the features.
    """

    name: Literal["gaussian_noise"] = "gaussian_noise"
    std: float = Field(default=0.05, ge=0.0)

    def change(self, x: FloatArray, keys: Keys, shape: Shape | None) -> FloatArray:
        """The rows `x` (B, F) with noise added, (B, F)."""
        return self.clip(x + self.std * keys.normal(x.shape[1]))


class ScaleJitter(Augmentation):
    """(1 + ε) · x with ε ~ N(0, std²), one ε a row or one a feature.

    Args:
        std: relative width, without unit.
        per: `row` keeps the direction of a row, `feature` does not.
    """

    name: Literal["scale_jitter"] = "scale_jitter"
    std: float = Field(default=0.05, ge=0.0)
    per: Literal["row", "feature"] = "row"

    def change(self, x: FloatArray, keys: Keys, shape: Shape | None) -> FloatArray:
        """The rows `x` (B, F) scaled, (B, F)."""
        return x * (1.0 + self.std * keys.normal(1 if self.per == "row" else x.shape[1]))

"""What every step of a preparation has as its configuration: a name."""

from __future__ import annotations

from typing import ClassVar

from qstore_ray.config import Config


class StepConfig(Config):
    """One step of the preparation, by name; each step's own fields are in `data/steps/`.

    `accepts_nan` says whether the step takes rows with missing values (NaN). Rows may hold them
    where the first step of a preparation does.
    """

    accepts_nan: ClassVar[bool] = False

    name: str

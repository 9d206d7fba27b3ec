"""A choice of classes and rows, as a configuration; `select.py` makes it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from qstore_ray.config import Config


class SelectConfig(Config):
    """A choice of classes and rows, from any source.

    Args:
        classes: labels, as the data have them, of the classes to keep; official parts too.
        rows: how many rows to keep of those that may be split; official parts stay whole.
        order: `first` keeps the first ones, `random` a sample by the dataset's seed.
    """

    classes: tuple[int | str | bool, ...] | None = Field(default=None, min_length=1)
    rows: int | None = Field(default=None, ge=1)
    order: Literal["first", "random"] = "first"

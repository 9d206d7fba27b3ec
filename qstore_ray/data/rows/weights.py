"""Sample weights of a dataset's rows: numbers from 0 up to `LARGEST`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from qstore_ray.errors import DataError

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, FloatArray

LARGEST = 1e100
"""Sums and squares of larger weights overflow; those of weights below 1 / `LARGEST` are 0."""


def checked_weights(
    values: AnyArray, where: Callable[[int], str], shown: Callable[[int], object]
) -> FloatArray:
    """The weights (N,) as float64.

    Args:
        where: place of the row that has this position, for the error.
        shown: what is written there.

    Raises:
        DataError: a weight that is NaN or below 0, or out of range.
    """
    weight = values.astype(np.float64)
    wrong = ~np.isfinite(weight) | (weight < 0.0)
    far = (weight > LARGEST) | ((weight > 0.0) & (weight < 1.0 / LARGEST))
    if far.any() and not wrong.any():
        row = int(np.argmax(far))
        raise DataError(
            f"a weight other than 0 is between {1.0 / LARGEST:g} and {LARGEST:g}",
            field=where(row),
            value=shown(row),
            fix="Scale the weights; only their ratios matter.",
        )
    if wrong.any():
        row = int(np.argmax(wrong))
        raise DataError(
            "a weight is a finite number, 0 or more",
            field=where(row),
            value=shown(row),
            fix="Write 0 for a row that does not count, 1 for a row that counts once; or name "
            "another column as columns.weight.",
        )
    return weight

"""Sample weights of a dataset's rows: finite numbers from 0 up."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from qstore_ray.errors import DataError

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, FloatArray


def checked_weights(
    values: AnyArray, where: Callable[[int], str], shown: Callable[[int], object]
) -> FloatArray:
    """The weights (N,) as float64.

    Args:
        where: place of the row that has this position, for the error.
        shown: what is written there.

    Raises:
        DataError: a weight that is NaN, infinite or below 0.
    """
    weight = values.astype(np.float64)
    wrong = ~np.isfinite(weight) | (weight < 0.0)
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

"""Clipping: a gradient made smaller before the optimizer sees it.

A single batch can have a gradient far larger than all others (a loss that is steep somewhere, an
outlier among the rows), and one step along it undoes many. Clipping bounds it: as a whole, which
keeps its direction, or number by number, which does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from qstore_ray.types import FloatArray


def global_norm(gradient: FloatArray) -> float:
    """‖g‖ of the gradient (P,), also where the squares of its numbers overflow or vanish."""
    largest = float(np.abs(gradient).max(initial=0.0))
    if largest == 0.0 or not np.isfinite(largest):
        return largest
    scaled = gradient / largest
    return largest * float(np.sqrt((scaled * scaled).sum()))


def clip_by_norm(gradient: FloatArray, limit: float) -> FloatArray:
    """Scale g by min(1, limit / ‖g‖), which keeps its direction (Pascanu et al. 2013).

    Values that are not finite stay so; the training loop detects them.

    Args:
        gradient: gradient of all parameters (P,).
        limit: the largest norm, above 0.
    """
    norm = global_norm(gradient)
    # NaN compares false and comes back as it is; infinity / infinity would be NaN all over.
    return gradient * (limit / norm) if limit < norm < np.inf else gradient


def clip_by_value(gradient: FloatArray, limit: float) -> FloatArray:
    """Clip each component of the gradient (P,) to [−limit, limit].

    Values that are not finite stay so; the training loop detects them.

    Args:
        gradient: gradient of all parameters (P,).
        limit: the largest absolute value of a component, above 0.
    """
    return np.where(np.isinf(gradient), gradient, np.clip(gradient, -limit, limit))

"""Clipping: a gradient made smaller before the optimizer sees it.

A single batch can have a gradient far larger than all others (a loss that is steep somewhere, an
outlier among the rows), and one step along it undoes many. Clipping bounds it: as a whole, which
keeps its direction, or number by number, which does not. A private training clips the gradient of
every single row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from qstore_ray.errors import ConfigError

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


def clip_rows(gradients: FloatArray, limit: float) -> FloatArray:
    """Scale each row g of (B, P) by min(1, limit / ‖g‖), so that none adds more than `limit`.

    The norm is taken a little too large (one part in 10¹²), so that rounding lets no row above the
    limit, which the noise of a private training is measured by. Rows that are not finite stay so.

    Args:
        gradients: one gradient a row. limit: the largest norm, above 0; inf changes nothing.
    """
    with np.errstate(over="ignore", under="ignore"):
        norms = np.sqrt(np.einsum("bp,bp->b", gradients, gradients))
    for row in np.flatnonzero(~((norms > 1e-150) & (norms < 1e150))):
        norms[row] = global_norm(gradients[row])  # also where squares overflow or vanish
    with np.errstate(invalid="ignore"):  # of rows that are not finite
        return gradients * _factors(norms, limit)[:, None]


def clip_factors(squares: FloatArray, limit: float) -> FloatArray:
    """What `clip_rows` multiplies rows by whose squared norms these are, of any shape.

    A row whose square overflows is left out as a whole. Those that are not finite are not scaled.

    Args:
        limit: the largest norm, far above the smallest numbers.
    """
    with np.errstate(invalid="ignore"):
        return _factors(np.sqrt(squares), limit)


def _factors(norms: FloatArray, limit: float) -> FloatArray:
    norms = norms * (1.0 + 1e-12)
    factors = np.ones(norms.shape)
    np.divide(limit, norms, out=factors, where=norms > limit)
    return factors


def check_unclipped(optimizer: str, **limits: float | None) -> None:
    """Refuse limits of a gradient for an optimizer that follows none.

    Raises:
        ConfigError: the first limit that is set.
    """
    for field, value in limits.items():
        if value is not None:
            raise ConfigError(
                f"{optimizer} chooses its own step, there is no gradient to clip",
                field=field,
                value=value,
                fix="Leave it out, or take an optimizer such as adam.",
            )

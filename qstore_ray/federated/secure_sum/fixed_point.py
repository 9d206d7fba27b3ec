"""Vectors as fixed-point numbers modulo 2⁶⁴: whole numbers, whose sums are exact in any order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from qstore_ray.errors import DataError

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, FloatArray

SCALE: Final = 2.0**40
"""A unit is 2⁻⁴⁰, about 10⁻¹²."""


def largest(n_clients: int) -> float:
    """The largest absolute value of which N clients' sum does not wrap around: 2²³ / N."""
    return 2.0**63 / SCALE / n_clients


def encoded(vector: FloatArray, n_clients: int) -> AnyArray:
    """round(x · 2⁴⁰) modulo 2⁶⁴, uint64 (P,).

    Raises:
        DataError: a value that is not finite, or whose sum over all clients could wrap around. No
            value is cut off: the sum would be wrong without a sign of it.
    """
    limit = largest(n_clients)
    fits = np.abs(vector) < limit  # false for NaN
    if not fits.all():
        place = int(np.argmin(fits))
        raise DataError(
            f"a value does not fit into a secure sum of {n_clients} clients, whose limit is "
            f"±{limit:g}",
            field=f"vector.{place}",
            value=float(vector[place]),
            fix="Lower the learning rate, or train without secure sums.",
        )
    return np.rint(vector * SCALE).astype(np.int64).view(np.uint64)


def decoded(total: AnyArray) -> FloatArray:
    """The sum of encoded vectors as numbers (P,)."""
    return total.view(np.int64).astype(np.float64) / SCALE

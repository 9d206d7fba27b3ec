"""Statistics that a few outliers do not move: medians, their deviations, ranks.

They take a sequence of at most some dozen numbers, for which plain Python is as fast as numpy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

PER_MAD: Final = 1.4826
"""Standard deviations of a normal distribution in a median absolute deviation (Hampel 1974)."""


def median(values: Sequence[float]) -> float:
    """The middle one of the sorted values, or the mean of the two in the middle."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def spread(values: Sequence[float], center: float) -> float:
    """σ of the values around `center`, from their median absolute deviation (Hampel 1974)."""
    return PER_MAD * median([abs(value - center) for value in values])


def rising_share(values: Sequence[float]) -> float:
    """Kendall's τ of the values against their order, −1 to 1 (Mann 1945): 1 if each exceeds the one
    before it, 0 for no trend; equal values count 0.
    """
    n = len(values)
    total = sum(
        (later > earlier) - (later < earlier)
        for i, earlier in enumerate(values)
        for later in values[i + 1 :]
    )
    return total / (n * (n - 1) / 2) if n > 1 else 0.0

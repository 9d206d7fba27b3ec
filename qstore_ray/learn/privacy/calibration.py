"""The least noise that keeps a training within a wanted ε."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final

from qstore_ray.errors import ConfigError
from qstore_ray.learn.privacy.accountant import PrivacyAccountant

_MOST: Final = 1e6
_TOLERANCE: Final = 1e-6


@lru_cache(maxsize=64)  # the driver, each worker and the claim ask for the same
def noise_for(epsilon: float, delta: float, *, sample_rate: float, steps: int) -> float:
    """The smallest σ, to one part in a million, with which `steps` steps spend at most ε at δ.

    ε falls as σ grows, so it is found by bisection; the end that spends less is returned.

    Args:
        sample_rate: q, the probability that a row joins a step.

    Raises:
        ConfigError: ε is not above 0, δ not in (0, 1), or ε is too small for any σ up to 10⁶.

    Examples:
        sigma = noise_for(3.0, 1e-5, sample_rate=0.01, steps=10_000)
        assert 1.66 < sigma < 1.68
    """
    check_epsilon(epsilon)

    def spends(sigma: float) -> float:
        accountant = PrivacyAccountant(sample_rate=sample_rate, noise_multiplier=sigma)
        return accountant.epsilon(accountant.init(), delta, steps)

    low, high = 0.0, 1.0
    while spends(high) > epsilon:
        low, high = high, 2.0 * high
        if high > _MOST:
            raise ConfigError(
                f"no noise keeps {steps} steps within this ε at δ = {delta:g}",
                field="epsilon",
                value=epsilon,
                fix="Take a larger epsilon or delta, or fewer steps.",
            )
    while high - low > _TOLERANCE * high:
        middle = (low + high) / 2.0
        low, high = (low, middle) if spends(middle) <= epsilon else (middle, high)
    return high


def check_epsilon(epsilon: float) -> None:
    """Raise `ConfigError` unless ε is a finite number above 0."""
    if not 0.0 < epsilon < math.inf:
        raise ConfigError(
            "ε is a finite number above 0",
            field="epsilon",
            value=epsilon,
            fix="Take 1.0 for a strong claim, 8.0 for a weak one.",
        )

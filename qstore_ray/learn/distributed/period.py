"""How many steps workers can take alone for the price of one sum."""

from __future__ import annotations

import math

from qstore_ray.learn.distributed.config import LONGEST_PERIOD


def period_for(sum_seconds: float, step_seconds: float, overhead: float) -> int:
    """The least H with sum / (sum + H · step) ≤ overhead: from 1 to `LONGEST_PERIOD`.

    Args:
        sum_seconds: of one all-reduce of what the workers exchange.
        step_seconds: of a step without it. overhead: share of the time that sums may take.

    Examples:
        assert period_for(0.003, 0.005, overhead=0.1) == 6
    """
    if step_seconds <= 0.0:
        return LONGEST_PERIOD
    needed = sum_seconds * (1.0 - overhead) / (overhead * step_seconds)
    return min(max(1, math.ceil(needed)), LONGEST_PERIOD)

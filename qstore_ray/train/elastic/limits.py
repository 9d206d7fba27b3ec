"""How often a group of workers may end before its time, and how long the next one waits.

Causes are counted apart. A machine that is taken away says nothing about the job, so it never uses
up the failures; full memory says much about it and tends to come again.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from qstore_ray.train.config import ClusterConfig

Cause = Literal["failure", "memory", "preemption", "resize"]
"""Why a group ended: workers died, hung or failed; Ray ended some as memory ran out; they were
asked to leave their machine; or there was room for more of them."""


class FailureLimits:
    """Counts how groups of workers of one training ended.

    Attributes:
        counts: of each cause so far.
    """

    def __init__(self, cluster: ClusterConfig) -> None:
        self._cluster = cluster
        self.counts: Counter[Cause] = Counter()

    def allows(self, cause: Cause) -> bool:
        """Count one more; whether another group may start."""
        self.counts[cause] += 1
        most = limit_of(self._cluster, cause)
        return most is None or self.counts[cause] <= most

    @property
    def pause(self) -> float:
        """Seconds to wait before the next group starts: none at the first failure, then more."""
        failures = self.counts["failure"] + self.counts["memory"]
        if failures < 2:
            return 0.0
        longest = self._cluster.longest_restart_pause
        return float(min(self._cluster.restart_pause * 2.0 ** min(failures - 2, 64), longest))


def limit_of(cluster: ClusterConfig, cause: Cause) -> int | None:
    """How often groups may end for this cause; None for any number."""
    most: dict[Cause, int | None] = {
        "failure": cluster.max_failures,
        "memory": cluster.max_memory_failures,
        "preemption": cluster.max_preemptions,
    }
    return most.get(cause)

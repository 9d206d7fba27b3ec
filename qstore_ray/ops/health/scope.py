"""What a check of health looks at."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from qstore_ray.ops.watch.memory import age_of
from qstore_ray.track.config import TrackConfig


@dataclass(frozen=True)
class HealthScope:
    """What is examined.

    Attributes:
        storage: the folder of the runs, or its address.
        track: of the runs' trackers. address: of a Ray cluster; None is RAY_ADDRESS, or the warm
            one. ledgers: the folder of ledgers; None is the default one.
        now: the clock of the wall, seconds since 1970. age: for how many seconds a process of this
            machine has been running, by a clock that nobody sets; None if that is not known.
    """

    storage: str | Path = "runs"
    track: TrackConfig = field(default_factory=TrackConfig)
    address: str | None = None
    ledgers: str | None = None
    now: Callable[[], float] = time.time
    age: Callable[[int], float | None] = age_of

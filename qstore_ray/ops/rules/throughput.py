"""A run that takes far fewer rows a second than before."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from qstore_ray.ops.alerts import Severity
from qstore_ray.ops.rules.base import Latch, RuleEvent, Sample
from qstore_ray.ops.rules.robust import median, spread


class ThroughputState(NamedTuple):
    """Rates of the last pieces of the run, and the piece that is being filled.

    Attributes:
        logs: ln of rows a second of each piece that was in order.
        rows, seconds: where the piece began; NaN before the first epoch.
    """

    logs: tuple[float, ...] = ()
    rows: float = math.nan
    seconds: float = math.nan
    latch: Latch = Latch()


@dataclass(frozen=True)
class ThroughputDrop:
    """Opens if the rate falls below the median rate of the window by `factor`, and by k σ.

    Rates come from what the run itself has counted, rows and seconds of a steady clock, so neither
    a late reader nor a changed clock matters. Epochs are put together until `piece_seconds` have
    passed; the first epoch, in which things are loaded, does not count. σ is of ln rate.

    Args:
        factor: the smallest drop that is reported. sigmas: k.
        window: pieces that are compared with. least: pieces before it judges.
        opens_after, closes_after: pieces in a row.
    """

    factor: float = 2.0
    sigmas: float = 6.0
    piece_seconds: float = 10.0
    window: int = 30
    least: int = 6
    opens_after: int = 3
    closes_after: int = 3
    name: str = "throughput"
    severity: Severity = "warning"

    def init(self) -> ThroughputState:
        """No epochs."""
        return ThroughputState()

    def update(
        self, state: ThroughputState, sample: Sample
    ) -> tuple[ThroughputState, RuleEvent | None]:
        """See `Rule`."""
        rows, seconds = sample.values.get("samples"), sample.values.get("seconds")
        if sample.kind != "epoch" or rows is None or seconds is None:
            return state, None
        done, passed = rows - state.rows, seconds - state.seconds
        known = math.isfinite(done) and math.isfinite(passed)
        if not (known and done > 0.0 and passed >= 0.0):  # the first, or out of order
            return state._replace(rows=rows, seconds=seconds), None
        if passed < self.piece_seconds:
            return state, None
        rate = math.log(done) - math.log(passed)  # their ratio may be too small for a number
        state = state._replace(rows=rows, seconds=seconds)
        if len(state.logs) < self.least:
            return state._replace(logs=(*state.logs, rate)), None
        return self._judged(state, rate)

    def _judged(
        self, state: ThroughputState, rate: float
    ) -> tuple[ThroughputState, RuleEvent | None]:
        level = median(state.logs)
        drop = max(math.log(self.factor), self.sigmas * spread(state.logs, level))
        latch, change = state.latch.after(
            bad=rate < level - drop,
            good=rate > level - drop / 2.0,
            opens_after=self.opens_after,
            closes_after=self.closes_after,
        )
        in_order = rate > level - drop / 2.0
        logs = (*state.logs, rate)[-self.window :] if in_order else state.logs
        state = state._replace(logs=logs, latch=latch)
        if change != "opens":
            return state, RuleEvent(False) if change else None
        value, before = math.exp(rate), math.exp(level)
        message = f"{value:,.3g} rows a second, after {before:,.3g}"
        fix = "Look at what else runs on the machine, and at its disks."
        return state, RuleEvent(True, value, math.exp(level - drop), message, fix)

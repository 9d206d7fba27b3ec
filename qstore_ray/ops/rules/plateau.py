"""A training loss that does not fall although it could."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, NamedTuple

from qstore_ray.learn.diagnostics.convergence import ConvergenceDetector
from qstore_ray.ops.alerts import Severity
from qstore_ray.ops.rules.base import Latch, RuleEvent, Sample

_MOST: Final = 400
"""Values that are kept; then every second of the older half goes."""


class PlateauState(NamedTuple):
    """The training losses so far, the older ones thinned out, and how many there were."""

    values: tuple[float, ...] = ()
    seen: int = 0
    latch: Latch = Latch()


@dataclass(frozen=True)
class PlateauRule:
    """Opens if `ConvergenceDetector` finds a plateau several times in a row, every few epochs.

    That is a flat curve that has not come to rest after a fall: a run that has converged alerts
    nobody. Its noise is taken from second differences, its trend from least squares.

    Args:
        window: epochs that are looked at. every: so many epochs.
        opens_after, closes_after: times in a row.
    """

    window: int = 30
    every: int = 5
    opens_after: int = 6
    closes_after: int = 2
    name: str = "plateau"
    severity: Severity = "info"

    def init(self) -> PlateauState:
        """No values."""
        return PlateauState()

    def update(self, state: PlateauState, sample: Sample) -> tuple[PlateauState, RuleEvent | None]:
        """See `Rule`."""
        value = sample.values.get("train_loss")
        if sample.kind != "epoch" or value is None or not math.isfinite(value):
            return state, None
        values, seen = _thinned((*state.values, value)), state.seen + 1
        if seen < 2 * self.window or seen % self.every:
            return PlateauState(values, seen, state.latch), None
        found = ConvergenceDetector(window=self.window).findings(values)
        flat = next((each for each in found if each.kind == "plateau"), None)
        latch, change = state.latch.after(
            bad=flat is not None,
            good=flat is None,
            opens_after=self.opens_after,
            closes_after=self.closes_after,
        )
        state = PlateauState(values, seen, latch)
        if change != "opens" or flat is None:
            return state, RuleEvent(False) if change else None
        what, _, fix = flat.message.removeprefix("plateau: ").partition(". ")
        return state, RuleEvent(True, flat.number, flat.threshold, what, fix)


def _thinned(values: tuple[float, ...]) -> tuple[float, ...]:
    if len(values) <= _MOST:
        return values
    half = _MOST // 2
    return values[:half:2] + values[half:]

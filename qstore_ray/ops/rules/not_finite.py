"""NaN and infinity among the metrics, or as the reason why a run failed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from qstore_ray.ops.alerts import Severity
from qstore_ray.ops.rules.base import Latch, RuleEvent, Sample

_REASON: Final = "NaN or infinite"
_FIX: Final = "Lower trainer.learning_rate, or scale the features down."


@dataclass(frozen=True)
class NotFinite:
    """Opens at the first metric that is NaN or infinite.

    Our own loop never records such a number: it ends the run, and says so in its last record. Other
    writers of a metrics file do.

    Args:
        closes_after: records in a row, all finite, that close the alert.
    """

    closes_after: int = 5
    name: str = "nan"
    severity: Severity = "critical"

    def init(self) -> Latch:
        """Closed."""
        return Latch()

    def update(self, state: Latch, sample: Sample) -> tuple[Latch, RuleEvent | None]:
        """See `Rule`."""
        if sample.kind == "end" and _REASON in sample.text:
            if state.is_open:
                return state, None
            return Latch(is_open=True), RuleEvent(True, math.nan, 0.0, sample.text, _FIX)
        if sample.kind not in {"step", "epoch"}:
            return state, None
        wrong = next((n for n, value in sample.values.items() if not math.isfinite(value)), "")
        state, change = state.after(
            bad=bool(wrong), good=not wrong, opens_after=1, closes_after=self.closes_after
        )
        if change == "opens":
            step = sample.values.get("step")
            where = f" in step {step:.0f}" if step is not None and math.isfinite(step) else ""
            value = sample.values[wrong]
            return state, RuleEvent(True, value, 0.0, f"{wrong} is {value}{where}", _FIX)
        return state, RuleEvent(False) if change else None

"""A run that failed while it was followed."""

from __future__ import annotations

from dataclasses import dataclass

from qstore_ray.ops.alerts import Severity
from qstore_ray.ops.rules.base import RuleEvent, Sample


@dataclass(frozen=True)
class FailedRun:
    """Opens when a run records that it failed; a new attempt closes it."""

    name: str = "failed"
    severity: Severity = "critical"

    def init(self) -> bool:
        """Not failed."""
        return False

    def update(self, state: bool, sample: Sample) -> tuple[bool, RuleEvent | None]:
        """See `Rule`."""
        if sample.kind != "end" or not sample.text or state:
            return state, None
        fix = "Fix the reason, then continue with existing='resume'."
        return True, RuleEvent(True, 1.0, 0.0, f"the run failed: {sample.text}", fix)

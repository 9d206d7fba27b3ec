"""A run that writes nothing more although it is running."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from qstore_ray.ops.alerts import Severity
from qstore_ray.ops.rules.base import RuleEvent, Sample


class StalledState(NamedTuple):
    """Silence since the last record, and how long the silences before it were.

    Attributes:
        last: the time of the last sample; None before the first.
        silence: seconds without a record. gaps: between the last records.
    """

    last: float | None = None
    silence: float = 0.0
    gaps: tuple[float, ...] = ()
    is_open: bool = False


@dataclass(frozen=True)
class Stalled:
    """Opens if a run is silent for longer than `factor` times its longest recent gap.

    Silence adds up from sample to sample, and one that comes late, because its reader slept or its
    clock jumped, adds `longest_tick_seconds` at most.

    Args:
        floor_seconds: silence that is never reported. first_seconds: the same until three records
            are known: data are loaded, circuits compiled.
        factor: of the longest of the last `window` gaps.
    """

    floor_seconds: float = 300.0
    first_seconds: float = 1800.0
    factor: float = 10.0
    window: int = 20
    longest_tick_seconds: float = 60.0
    name: str = "stalled"
    severity: Severity = "critical"

    def init(self) -> StalledState:
        """Nothing is known."""
        return StalledState()

    def update(self, state: StalledState, sample: Sample) -> tuple[StalledState, RuleEvent | None]:
        """See `Rule`."""
        since = 0.0 if state.last is None else sample.at - state.last
        silence = state.silence + min(max(since, 0.0), self.longest_tick_seconds)
        if sample.kind == "end":
            return StalledState(), RuleEvent(False) if state.is_open else None
        if sample.kind != "tick":
            gaps = (*state.gaps, silence)[-self.window :] if sample.kind != "start" else ()
            return StalledState(sample.at, 0.0, gaps), RuleEvent(False) if state.is_open else None
        allowed = self.allowed(state.gaps)
        opens = silence > allowed and not state.is_open
        state = StalledState(sample.at, silence, state.gaps, state.is_open or opens)
        if not opens:
            return state, None
        message = f"nothing was written for {silence:,.0f} s"
        fix = "Look at the log of the run; stop it, then continue with existing='resume'."
        return state, RuleEvent(True, silence, allowed, message, fix)

    def allowed(self, gaps: tuple[float, ...]) -> float:
        """Seconds of silence that are in order after these gaps between records."""
        if len(gaps) < 3:
            return max(self.first_seconds, self.floor_seconds)
        return max(self.floor_seconds, self.factor * max(gaps))

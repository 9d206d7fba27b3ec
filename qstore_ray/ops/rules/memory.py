"""Memory that grows and grows: a leak."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from qstore_ray.ops.alerts import Severity
from qstore_ray.ops.rules.base import Latch, RuleEvent, Sample
from qstore_ray.ops.rules.robust import median, rising_share

_MOST: Final = 64
_ENDS: Final = 5
"""Values whose median is the size at the beginning, and at the end."""


class MemoryState(NamedTuple):
    """Sizes over the whole run, evenly spaced.

    Attributes:
        sizes: MiB; once there are 64, every second goes, and the spacing doubles.
        spacing: seconds between them. last: the time of the last one. seen: values so far.
    """

    sizes: tuple[float, ...] = ()
    spacing: float = 0.0
    last: float = float("-inf")
    seen: int = 0
    latch: Latch = Latch()


@dataclass(frozen=True)
class MemoryGrowth:
    """Opens if memory rises nearly always, and by much, over the run.

    Nearly always: Kendall's τ of the sizes against time (Mann 1945) is above `rising`; a single
    step, as of a cache that is filled, has 0.5. By much: the last sizes are above the first by
    `least_mib` and by `share` of them.

    Args:
        spacing_seconds: of the first samples. warm_up: samples that do not count.
        least: samples before it judges.
        opens_after, closes_after: samples in a row.
    """

    least_mib: float = 256.0
    share: float = 0.25
    rising: float = 0.85
    spacing_seconds: float = 15.0
    warm_up: int = 8
    least: int = 40
    opens_after: int = 3
    closes_after: int = 5
    name: str = "memory"
    severity: Severity = "warning"

    def init(self) -> MemoryState:
        """No samples."""
        return MemoryState(spacing=self.spacing_seconds)

    def update(self, state: MemoryState, sample: Sample) -> tuple[MemoryState, RuleEvent | None]:
        """See `Rule`."""
        size = sample.values.get("memory_mib")
        if size is None or sample.at - state.last < state.spacing:
            return state, None
        state = state._replace(last=sample.at, seen=state.seen + 1)
        if state.seen <= self.warm_up:
            return state, None
        state = state._replace(sizes=(*state.sizes, size))
        event = None
        if len(state.sizes) >= self.least:
            state, event = self._judged(state)
        if len(state.sizes) >= _MOST:
            state = state._replace(sizes=state.sizes[::2], spacing=2.0 * state.spacing)
        return state, event

    def _judged(self, state: MemoryState) -> tuple[MemoryState, RuleEvent | None]:
        first, now = median(state.sizes[:_ENDS]), median(state.sizes[-_ENDS:])
        threshold = first + max(self.least_mib, self.share * first)
        share = rising_share(state.sizes)
        latch, change = state.latch.after(
            bad=now > threshold and share > self.rising,
            good=now < threshold or share < self.rising - 0.25,
            opens_after=self.opens_after,
            closes_after=self.closes_after,
        )
        state = state._replace(latch=latch)
        if change != "opens":
            return state, RuleEvent(False) if change else None
        message = f"memory has grown from {first:,.0f} to {now:,.0f} MiB, and still grows"
        fix = "Look for what a callback or a data source keeps; resume from the last checkpoint."
        return state, RuleEvent(True, now, threshold, message, fix)

"""A budget that will be used up before the last epoch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from qstore_ray.ops.alerts import Severity
from qstore_ray.ops.rules.base import Latch, RuleEvent, Sample
from qstore_ray.ops.rules.robust import median

ALLOWED: Final = "allowed_"
"""Prefix of the limits in the values of a start."""
USED: Final = "budget_"
"""Prefix of what is used, in the values of an epoch; the callback `Budget` logs it."""


class BudgetState(NamedTuple):
    """The limits of the run, what was used of each, and how fast.

    Attributes:
        epochs: planned. used: at the last epoch. burnt: by each of the last epochs.
    """

    epochs: float = 0.0
    allowed: Mapping[str, float] = {}
    used: Mapping[str, float] = {}
    burnt: Mapping[str, tuple[float, ...]] = {}
    latch: Latch = Latch()


@dataclass(frozen=True)
class BudgetBurn:
    """Opens if the use of any limit, continued to the last epoch, exceeds it by a margin.

    The use is continued with the median of the last epochs and with the mean of all of them, and
    both must exceed the limit, as burn rates of service-level objectives are judged over a short
    and a long window (Beyer et al. 2018, The Site Reliability Workbook). The margin falls linearly
    from `margin` at the first epoch to nothing at the last.

    Args:
        window: epochs of the short window. least: epochs before it judges.
        margin: share of the limit. closing: share below the margin that closes.
        opens_after, closes_after: epochs in a row.
    """

    window: int = 20
    least: int = 10
    margin: float = 0.3
    closing: float = 0.1
    opens_after: int = 5
    closes_after: int = 5
    name: str = "budget"
    severity: Severity = "warning"
    nothing: BudgetState = field(default=BudgetState(), repr=False)

    def init(self) -> BudgetState:
        """No limits."""
        return self.nothing

    def update(self, state: BudgetState, sample: Sample) -> tuple[BudgetState, RuleEvent | None]:
        """See `Rule`."""
        if sample.kind == "start":
            limits = {n: v for n, v in sample.values.items() if n.startswith(ALLOWED)}
            allowed = {name.removeprefix(ALLOWED): value for name, value in limits.items()}
            return BudgetState(sample.values.get("epochs", 0.0), allowed), None
        if sample.kind != "epoch" or not state.allowed:
            return state, None
        used = {name: sample.values.get(USED + name) for name in state.allowed}
        known = {name: value for name, value in used.items() if value is not None}
        burnt = {
            name: (*state.burnt.get(name, ()), value - state.used[name])[-self.window :]
            for name, value in known.items()
            if name in state.used
        }
        state = state._replace(used=known, burnt=burnt)
        return self._judged(state, state.epochs - sample.values.get("epoch", 0.0) - 1.0)

    def _judged(self, state: BudgetState, left: float) -> tuple[BudgetState, RuleEvent | None]:
        shares = {
            name: self._used_at_end(state, name, left) / state.allowed[name]
            for name, burnt in state.burnt.items()
            if len(burnt) >= self.least
        }
        if not shares:
            return state, None
        worst = max(shares, key=shares.__getitem__)
        over = 1.0 + self.margin * left / max(state.epochs, 1.0)
        latch, change = state.latch.after(
            bad=left > 0.0 and shares[worst] > over,
            good=shares[worst] < over - self.closing,
            opens_after=self.opens_after,
            closes_after=self.closes_after,
        )
        state = state._replace(latch=latch)
        if change != "opens":
            return state, RuleEvent(False) if change else None
        allowed = state.allowed[worst]
        message = (
            f"{state.used[worst]:,.4g} of {allowed:,.4g} {worst.replace('_', ' ')} are used, and "
            f"the last epoch would end with {shares[worst] * allowed:,.4g}"
        )
        fix = "Allow more, or take fewer epochs, rows or shots."
        return state, RuleEvent(True, shares[worst] * allowed, allowed, message, fix)

    @staticmethod
    def _used_at_end(state: BudgetState, name: str, left: float) -> float:
        """The smaller of the two projections."""
        burnt, done = state.burnt[name], max(state.epochs - left, 1.0)
        return state.used[name] + left * min(median(burnt), state.used[name] / done)

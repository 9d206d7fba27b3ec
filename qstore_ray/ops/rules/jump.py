"""A loss that suddenly is much higher than it was."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from qstore_ray.ops.alerts import Severity
from qstore_ray.ops.rules.base import Latch, RuleEvent, Sample
from qstore_ray.ops.rules.robust import median, spread


class JumpState(NamedTuple):
    """What was in order so far.

    Attributes:
        values: the last of them. above: how far each of the last stood above the median before it.
        top: the highest median so far.
    """

    values: tuple[float, ...] = ()
    above: tuple[float, ...] = ()
    top: float = -math.inf
    latch: Latch = Latch()


@dataclass(frozen=True)
class LossJump:
    """Opens if several values in a row lie above m + max(k σ, a, r · max(|m|, fall)).

    m is the median of the values right before them and σ the noise: the larger of 1.4826 times
    their median absolute deviation from m (Hampel 1974; Leys et al. 2013) and the same of the
    differences of neighbours in the window over √2, which the trend of a falling loss does not
    enter. a is the largest deviation from such a median among the last n: of noise with any
    distribution, the next j values all exceed the n before them with probability 1 / C(n + j, j)
    only, which matters since the losses of small batches have long tails. The last bound, a share
    of the level and of the fall so far, keeps a loss at rest from alerting at rounding errors. The
    rule is one-sided: a loss may fall as fast as it can.

    Args:
        name: of the alerts. metric: name of the values.
        window: values whose differences are taken. recent: values that m is of.
        least: values before it judges. memory: n.
        sigmas: k, to open; `closing_sigmas` to close. share: r.
        opens_after, closes_after: values in a row.
    """

    name: str = "jump"
    metric: str = "loss"
    window: int = 50
    recent: int = 15
    least: int = 30
    memory: int = 200
    sigmas: float = 6.0
    closing_sigmas: float = 3.0
    share: float = 0.1
    opens_after: int = 5
    closes_after: int = 5
    severity: Severity = "warning"

    def init(self) -> JumpState:
        """No values."""
        return JumpState()

    def update(self, state: JumpState, sample: Sample) -> tuple[JumpState, RuleEvent | None]:
        """See `Rule`."""
        value = sample.values.get(self.metric)
        if sample.kind not in {"step", "epoch"} or value is None or not math.isfinite(value):
            return state, None
        if len(state.values) < self.least:
            return state._replace(values=(*state.values, value)), None
        level = median(state.values[-self.recent :])
        top = max(state.top, level)
        state = state._replace(top=top)
        least = self.share * max(abs(level), top - level)
        bound = level + max(least, max(state.above, default=least))
        if value <= bound and not state.latch.is_open:  # in order at any noise; nearly all are
            return self._kept(state, value, level)._replace(latch=Latch()), None
        noise = self._noise(state.values, level)
        threshold = max(bound, level + self.sigmas * noise)
        lower = level + max(self.closing_sigmas * noise, least / 2.0)
        latch, change = state.latch.after(
            bad=value > threshold,
            good=value <= lower,
            opens_after=self.opens_after,
            closes_after=self.closes_after,
        )
        # What would open the alert is not what the next value is compared with.
        if value <= (lower if latch.is_open else threshold):
            state = self._kept(state, value, level)
        state = state._replace(latch=latch)
        if change != "opens":
            return state, RuleEvent(False) if change else None
        message = f"{self.metric} jumped to {value:.4g} from {level:.4g}"
        fix = "Lower trainer.learning_rate, clip the gradient, or look at the data."
        return state, RuleEvent(True, value, threshold, message, fix)

    def _kept(self, state: JumpState, value: float, level: float) -> JumpState:
        values = (*state.values, value)[-self.window :]
        return state._replace(values=values, above=(*state.above, value - level)[-self.memory :])

    def _noise(self, values: tuple[float, ...], level: float) -> float:
        steps = [later - value for value, later in pairwise(values)]
        return max(spread(values[-self.recent :], level), spread(steps, 0.0) / math.sqrt(2.0))

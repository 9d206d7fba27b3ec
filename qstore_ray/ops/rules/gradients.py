"""Gradients that vanish in a run whose loss has not fallen: a sign of a barren plateau."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from qstore_ray.learn.diagnostics.curve import has_fallen
from qstore_ray.ops.alerts import Severity
from qstore_ray.ops.rules.base import Latch, RuleEvent, Sample
from qstore_ray.ops.rules.robust import median


class GradientState(NamedTuple):
    """The last norms, the largest median of as many before, and the first losses.

    Attributes:
        top: the largest median of a window of norms.
    """

    norms: tuple[float, ...] = ()
    losses: tuple[float, ...] = ()
    top: float = 0.0
    latch: Latch = Latch()


@dataclass(frozen=True)
class VanishingGradients:
    """Opens if the median norm of the last epochs is below max(`ratio` · its maximum, `floor`).

    A gradient also vanishes in a minimum. So nothing is said once the loss has fallen by more than
    its noise. Gradients of random deep circuits vanish exponentially in the number of qubits
    (McClean et al. 2018, arXiv:1803.11173).

    Args:
        window: epochs of a median; it judges after as many.
        ratio: of the largest median. floor: of ∂loss/∂θ, in units of the loss a radian.
        opens_after, closes_after: epochs in a row.
    """

    window: int = 5
    ratio: float = 1e-3
    floor: float = 1e-6
    opens_after: int = 3
    closes_after: int = 3
    name: str = "gradients"
    severity: Severity = "warning"

    def init(self) -> GradientState:
        """No epochs."""
        return GradientState()

    def update(
        self, state: GradientState, sample: Sample
    ) -> tuple[GradientState, RuleEvent | None]:
        """See `Rule`."""
        norm, loss = sample.values.get("gradient_norm"), sample.values.get("train_loss")
        if sample.kind != "epoch" or norm is None or loss is None:
            return state, None
        if not math.isfinite(norm + loss):
            return state, None
        norms = (*state.norms, norm)[-self.window :]
        losses = (*state.losses, loss)
        losses = losses[:20] + losses[20:][-20:]  # how it began, and how it stands
        if len(norms) < self.window:
            return GradientState(norms, losses, state.top, state.latch), None
        now = median(norms)
        top = max(state.top, now)
        threshold = max(self.ratio * top, self.floor)
        matters = now < threshold or state.latch.is_open
        fell = matters and has_fallen(np.array(losses))
        latch, change = state.latch.after(
            bad=now < threshold and not fell,
            good=now >= 2.0 * threshold or fell,
            opens_after=self.opens_after,
            closes_after=self.closes_after,
        )
        state = GradientState(norms, losses, top, latch)
        if change != "opens":
            return state, RuleEvent(False) if change else None
        message = f"the gradient's norm is {now:.2g}, and the loss has not fallen"
        fix = "Take fewer qubits or layers, a local observable, or initial parameters near 0."
        return state, RuleEvent(True, now, threshold, message, fix)

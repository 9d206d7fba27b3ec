"""What a history of losses says about a run: converged, stuck, diverging, going to and fro.

    for finding in ConvergenceDetector().findings(losses, gradient_norms=norms):
        print(finding.message)

Every number here is a ratio of what was measured to what was measured: to the best value, to the
fall so far, to the noise of the curve itself. So a loss in other units gives the same findings.
The noise σ is taken from second differences v_{t−1} − 2 v_t + v_{t+1}, which vanish where the curve
is straight and have the variance 6 σ² where it is noise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

import numpy as np
from pydantic import Field

from qstore_ray.config import Config
from qstore_ray.learn.diagnostics.curve import (
    LEVEL,
    SIGMAS,
    gradient_ratio,
    has_fallen,
    levels_of,
    noise_of,
    slope_of,
)

if TYPE_CHECKING:
    from qstore_ray.types import FloatArray

Kind: TypeAlias = Literal["converged", "plateau", "diverging", "oscillating", "barren_plateau"]

_LEAST_OF_FALL = (
    1e-3  # near a best value of 0, this share of the fall is what growth is compared to
)
_ERRORS = 3.0  # standard errors of a change, up to which it may be noise
_OTHER_START = "Try another learning rate, other initial parameters, or another circuit."


class ConvergenceFinding(NamedTuple):
    """One thing that a history says.

    Attributes:
        kind: what it is.
        number: what was measured.
        threshold: what it was compared with.
        message: a sentence for the user, with what may be done.
    """

    kind: Kind
    number: float
    threshold: float
    message: str


class ConvergenceDetector(Config):
    """Looks at a metric epoch by epoch; pure, it keeps nothing between calls.

    Args:
        window: the epochs at the end that are looked at; an oscillation is looked for in twice as
            many.
        mode: min, where smaller is better, or max.
        tolerance: a change over the window, and its noise, count as none up to this share of the
            curve's range.
        least_range: a curve whose whole range is less than this share of its value is a plateau.
        divergence: how far above the best level the last one may lie, as a share of the best.
        chance: the probability that pure noise is taken for an oscillation.
        gradient_left: the gradient in units of its noise above which a flat curve is no minimum.
        barren_epochs: epochs in a row with a gradient below its noise that make a barren plateau.
        barren_ratio: the gradient in units of its noise below which it counts as lost in it.
    """

    window: int = Field(default=10, ge=4)
    mode: Literal["min", "max"] = "min"
    tolerance: float = Field(default=0.01, gt=0.0, lt=1.0)
    least_range: float = Field(default=1e-4, ge=0.0)
    divergence: float = Field(default=0.5, gt=0.0)
    chance: float = Field(default=1e-3, gt=0.0, lt=1.0)
    gradient_left: float = Field(default=3.0, gt=0.0)
    barren_epochs: int = Field(default=5, ge=1)
    barren_ratio: float = Field(default=1.0, gt=0.0)

    def findings(
        self,
        values: Sequence[float],
        *,
        gradient_norms: Sequence[float] = (),
        gradient_noise: Sequence[float] = (),
        n_qubits: int | None = None,
    ) -> list[ConvergenceFinding]:
        """What the history says so far; nothing while it is too short or still on its way.

        Args:
            values: the metric of each epoch.
            gradient_norms: |∇C| of each epoch.
            gradient_noise: the standard error of |∇C| of each epoch, from shots or from the spread
                over the rows; leave it out where gradients are exact.
            n_qubits: for the sentence about a barren plateau.
        """
        if any(not math.isfinite(value) for value in values):
            return [_not_finite(values)]
        curve = np.array(values, dtype=float) * (1.0 if self.mode == "min" else -1.0)
        swinging = self._oscillating(curve)
        found = [self._diverging(curve, self.window if swinging else LEVEL), swinging]
        if not any(found):
            norms, noise = np.array(gradient_norms), np.array(gradient_noise)
            found = [self._barren(curve, norms, noise, n_qubits)]
            if not any(found):
                found = [self._flat(curve, norms, noise)]
        return [finding for finding in found if finding]

    def _diverging(self, curve: FloatArray, width: int) -> ConvergenceFinding | None:
        """The last level far above the best one, in units of the best one and of the noise."""
        if len(curve) <= width:
            return None
        levels = levels_of(curve, width)
        best, now = float(levels.min()), float(levels[-1])
        size = max(abs(best), _LEAST_OF_FALL * float(levels[0] - best))
        if now - best <= max(self.divergence * size, SIGMAS * noise_of(curve)):
            return None
        growth = (now - best) / size if size else math.inf
        message = (
            f"diverging: the metric is worse than its best level by {growth:.0%} of it "
            f"({abs(now):.4g} after {abs(best):.4g}). Lower the learning rate, or stop."
        )
        return ConvergenceFinding("diverging", growth, self.divergence, message)

    def _oscillating(self, curve: FloatArray) -> ConvergenceFinding | None:
        """One period that explains more of the variance than it does in noise: Fisher 1929.

        For one frequency and N independent normal values P(R² > x) = (1 − x)^{m−1}, m = N/2; for
        the best of M frequencies it is at most M times that.
        """
        rows = curve[-2 * self.window :]
        n = len(rows)
        if n < 2 * self.window:
            return None
        times = np.arange(n) - (n - 1) / 2
        detrended = rows - rows.mean() - times * slope_of(rows)
        variance = float(detrended @ detrended)
        if math.sqrt(variance / n) <= self.tolerance * float(np.ptp(curve)):
            return None
        # Fewer than three periods may be a bend of the curve.
        periods = np.arange(3.0, n / 2, 0.25)
        angles = 2.0 * np.pi * periods[:, None] * times / n
        waves, _ = np.linalg.qr(np.stack([np.cos(angles), np.sin(angles)], axis=-1))
        shares = ((detrended @ waves) ** 2).sum(axis=-1) / variance
        share = float(shares.max())
        threshold = 1.0 - (self.chance / len(periods)) ** (1.0 / (n / 2 - 1))
        if share <= threshold:
            return None
        period = n / float(periods[np.argmax(shares)])
        message = (
            f"oscillating: {share:.0%} of the variance over {n} epochs has one period, "
            f"{period:.1f} epochs. Lower the learning rate or the momentum."
        )
        return ConvergenceFinding("oscillating", share, threshold, message)

    def _flat(
        self, curve: FloatArray, norms: FloatArray, noise: FloatArray
    ) -> ConvergenceFinding | None:
        """No trend over the window: converged after a fall to rest, a plateau otherwise."""
        w, window = self.window, curve[-self.window :]
        if len(window) < w:
            return None
        extent = float(np.ptp(curve))
        if extent <= self.least_range * abs(float(np.median(curve))):
            return self._plateau(0.0, "has hardly changed at all", _OTHER_START)
        change, own_noise = abs(slope_of(window)) * (w - 1) / extent, noise_of(window) / extent
        if own_noise > self.tolerance:
            if change > _ERRORS * own_noise * math.sqrt(12.0 * (w - 1) / (w * (w + 1))):
                return None
            advice = "Lower the learning rate." if has_fallen(curve) else _OTHER_START
            said = f"goes up and down by {own_noise:.2%} of its range, without a trend"
            return self._plateau(own_noise, said, advice)
        if change > self.tolerance:
            return None
        said = f"changed by {change:.2%} of its range"
        if not has_fallen(curve):
            return self._plateau(change, said, _OTHER_START)
        left = 0.0
        if min(len(norms), len(noise)) >= w and noise[-w:].all():
            left = gradient_ratio(norms[-w:], noise[-w:])
        if left > self.gradient_left:
            advice = f"The gradient is {left:.3g} times its noise, so this is no minimum."
            return self._plateau(change, said, advice)
        message = f"converged: the metric {said} over the last {w} epochs; more hardly change it."
        return ConvergenceFinding("converged", change, self.tolerance, message)

    def _plateau(self, number: float, said: str, advice: str) -> ConvergenceFinding:
        message = f"plateau: the metric {said} over the last {self.window} epochs. {advice}"
        return ConvergenceFinding("plateau", number, self.tolerance, message)

    def _barren(
        self, curve: FloatArray, norms: FloatArray, noise: FloatArray, n_qubits: int | None
    ) -> ConvergenceFinding | None:
        """The gradient below its noise, in a run that has not come down: McClean et al. 2018."""
        k = self.barren_epochs
        if min(len(norms), len(noise)) < k or has_fallen(curve):
            return None
        if not (norms[-k:] < self.barren_ratio * noise[-k:]).all():
            return None
        ratio = gradient_ratio(norms[-k:], noise[-k:])
        width = ""
        if n_qubits is not None:
            width = (
                f" (a random deep circuit of {n_qubits} qubits: about {2.0 ** (-n_qubits / 2):.2g})"
            )
        message = (
            f"barren plateau: for {k} epochs the gradient is {ratio:.2g} times its own noise"
            f"{width}. Take more shots, fewer qubits or layers, a local observable, or initial "
            "parameters near 0."
        )
        return ConvergenceFinding("barren_plateau", ratio, self.barren_ratio, message)


def _not_finite(values: Sequence[float]) -> ConvergenceFinding:
    epoch, value = next((t, v) for t, v in enumerate(values) if not math.isfinite(v))
    message = f"diverging: the metric is {value} in epoch {epoch}. Lower the learning rate."
    return ConvergenceFinding("diverging", math.inf, 0.0, message)

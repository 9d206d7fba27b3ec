"""gCANS: descent that looks at no more rows than a step is worth (Gu et al. 2021).

Near the start a rough gradient is enough; near the minimum the noise would drown it. For a step
θ ← θ − α g of a function whose gradient has the Lipschitz constant L, with g the mean of s samples
of variance σ², the expected gain per sample is largest (arXiv:2108.10434) with

    s = 2Lα / (2 − Lα) · Σσ_i² / ‖∇f‖²

samples. On quantum hardware a sample is a shot. On a simulator expectation values are exact, and
what makes a gradient noisy is the choice of rows: here a sample is a row of the batch, and σ_i² the
variance of ∂loss/∂θ_i from row to row. So a run on a large batch begins with few of its rows and
asks for more as the gradient fades.

The papers give every component a number of its own, because a shot serves one component only. A
row serves all of them, so one number is taken: for `global` the formula above, which is gCANS with
s_i = s; for `individual` iCANS (Kübler et al. 2020, arXiv:1909.09083), that is
s_i = 2Lα / (2 − Lα) · σ_i² / g_i² of the component with the largest gain per sample, which is where
iCANS cuts off the numbers of all the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from qstore_ray.config import Config
from qstore_ray.errors import ConfigError

if TYPE_CHECKING:
    from qstore_ray.learn.optimizers.base import OptimizerState, Problem, Slope
    from qstore_ray.types import FloatArray

_MOST_ROWS = 1e15
"""Where the gradient is 0 the formula asks for infinitely many; a batch has fewer than this."""


class GCANS(Config):
    """θ ← θ − α g over the first s rows of the batch; s of the next step from ‖g‖² and Σσ².

    Args:
        rule: `global` (gCANS) or `individual` (iCANS); see the module.
        lipschitz: L, a bound of the loss's second derivative; L · learning rate is below 2.
        min_rows: the rows of the first step, and the fewest of any; in training at least 17,
            because the variance is estimated from two blocks of 16 rows.
        decay: μ, of the running means of g and σ².
        bias: b; the square of the gradient has b μ^k added, so that an early small gradient does
            not ask for the whole batch.
    """

    rule: Literal["global", "individual"] = "global"
    lipschitz: float = Field(default=1.0, gt=0.0)
    min_rows: int = Field(default=32, ge=2)
    decay: float = Field(default=0.99, ge=0.0, lt=1.0)
    bias: float = Field(default=1e-6, ge=0.0)

    def check_rows(self, batch_rows: int, block: int) -> None:
        """Check that the variance can be estimated, and that a step has enough rows.

        Raises:
            ConfigError: `min_rows` is one block or less, or more than a step has.
        """
        if self.min_rows <= block:
            raise ConfigError(
                f"the variance of the gradient needs more than {block} rows",
                field="optimizer_options.min_rows",
                value=self.min_rows,
                fix=f"Take {block + 1} or more.",
            )
        if self.min_rows > batch_rows:
            raise ConfigError(
                f"gcans takes {self.min_rows} rows a step at least",
                field="batch_size",
                value=batch_rows,
                fix=f"Take {self.min_rows} or more, or a smaller optimizer_options.min_rows.",
            )

    def init(self, theta: FloatArray) -> OptimizerState:
        """Means 0, no steps taken; `rows` is the number wanted, of which a batch may have fewer."""
        return {
            "rows": np.full(1, float(self.min_rows)),
            "gradient": np.zeros_like(theta),
            "variance": np.zeros_like(theta),
            "k": np.zeros(1),
        }

    def with_fewest_rows(self, state: OptimizerState) -> OptimizerState:
        """The state that asks for `min_rows`; see `AdaptsRows`."""
        return {**state, "rows": np.full(1, float(self.min_rows))}

    def with_most_rows(self, state: OptimizerState) -> OptimizerState:
        """The state that asks for all rows of a batch; see `AdaptsRows`."""
        return {**state, "rows": np.full(1, _MOST_ROWS)}

    def search(
        self,
        state: OptimizerState,
        theta: FloatArray,
        problem: Problem,
        learning_rate: float,
    ) -> tuple[FloatArray, OptimizerState]:
        """One step; see `SearchOptimizer.search`.

        Raises:
            ConfigError: L times the learning rate is 2 or more: no number of rows makes a gain.
        """
        if self.lipschitz * learning_rate >= 2.0:
            raise ConfigError(
                f"lipschitz times the learning rate {learning_rate:g} must be below 2",
                field="optimizer_options.lipschitz",
                value=self.lipschitz,
                fix=f"Take a learning rate below {2.0 / self.lipschitz:g}, or a smaller lipschitz.",
            )
        rows = min(int(state["rows"][0]), problem.n_rows)
        slope = problem.slope(theta, rows)
        moved = theta - learning_rate * slope.gradient
        if np.isnan(slope.variance).all():  # a short last batch: nothing is learned about it
            return moved, state
        return moved, self._after(state, slope, learning_rate)

    def _after(self, state: OptimizerState, slope: Slope, learning_rate: float) -> OptimizerState:
        """The running means with this slope, and the rows that they ask for."""
        k = state["k"] + 1.0
        gradient = self.decay * state["gradient"] + (1.0 - self.decay) * slope.gradient
        variance = self.decay * state["variance"] + (1.0 - self.decay) * slope.variance
        unbiased = 1.0 - self.decay**k
        floor = self.bias * self.decay ** (k - 1.0)
        wanted = self._rows((gradient / unbiased) ** 2, variance / unbiased, floor, learning_rate)
        rows = np.clip(np.ceil(wanted), self.min_rows, _MOST_ROWS)
        return {"rows": rows, "gradient": gradient, "variance": variance, "k": k}

    def _rows(
        self, square: FloatArray, variance: FloatArray, floor: FloatArray, learning_rate: float
    ) -> FloatArray:
        """s (1,) from g² (P,) and σ² (P,)."""
        bend = self.lipschitz * learning_rate
        factor = 2.0 * bend / (2.0 - bend)
        if self.rule == "global":
            return factor * _ratio(variance.sum(keepdims=True), square.sum(keepdims=True) + floor)
        rows = np.maximum(np.ceil(factor * _ratio(variance, square + floor)), 1.0)
        gain = ((1.0 - 0.5 * bend) * square - 0.5 * bend * variance / rows) / rows
        return rows[[np.argmax(gain)]]


def _ratio(noise: FloatArray, signal: FloatArray) -> FloatArray:
    """noise / signal; 0 without noise, and as many rows as can be asked for without signal."""
    unknown = np.where(noise > 0.0, _MOST_ROWS, 0.0)
    ratio: FloatArray = np.divide(noise, signal, out=unknown, where=signal > 0.0)
    return ratio

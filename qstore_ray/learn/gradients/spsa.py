"""Simultaneous perturbation: a gradient from two evaluations a direction, however many parameters.

All slots are moved at once along a random direction Δ of ±1 (Spall 1992, IEEE Trans. Autom. Control
37(3)), and for the cotangent v of a row

    g = mean over K directions of Δ · v·(⟨O⟩(θ + cΔ) − ⟨O⟩(θ − cΔ)) / 2c.

Its mean is the gradient but for a term of order c². N rows take N·(1 + 2K) evaluations, and the
rows as they are give the values, so the loss is chained with them. It is what hardware is trained
with: parameter shift takes N·(1 + 2G) for G gates.

The optimizer of the same name goes along the loss itself; this gradient serves any optimizer.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import UnionType
from typing import TYPE_CHECKING

import numpy as np

from qstore_ray.backends.base import Bindings, Gradients, Pullback
from qstore_ray.backends.keys import DrawKey, generator
from qstore_ray.circuits.template import Template
from qstore_ray.errors import BackendError, ConfigError
from qstore_ray.learn.gradients.base import GradientPlan

if TYPE_CHECKING:
    from qstore_ray.types import FloatArray

_DIRECTIONS = 0x5B5A
"""Ends the words of a key that directions are drawn from."""


def _is_number(value: object, kind: type | UnionType) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


@dataclass(frozen=True)
class SpsaGradient:
    """The gradient along random directions.

    Args:
        directions: K, averaged in one evaluation.
        size: c in radians. A larger one is less disturbed by shots and further from the gradient.

    Raises:
        ConfigError: a number out of range.
    """

    directions: int = 4
    size: float = 0.2
    name: str = "spsa"
    draws: bool = True

    def __post_init__(self) -> None:
        if not _is_number(self.directions, int) or not 1 <= self.directions <= 10_000:
            raise ConfigError(
                "the number of directions is from 1 to 10,000",
                field="gradient_options.directions",
                value=self.directions,
            )
        if not _is_number(self.size, int | float) or not 0.0 < self.size <= np.pi:
            raise ConfigError(
                "the size of a perturbation is above 0 and at most π",
                field="gradient_options.size",
                value=self.size,
            )

    def plan(
        self, template: Template, bindings: Bindings, *, rows_gradient: bool, key: DrawKey | None
    ) -> GradientPlan:
        """N·(1 + 2K) evaluations for N rows; all rows and workers go along the same directions.

        Raises:
            BackendError: the key is None.
        """
        if key is None:
            raise BackendError(
                "the directions are drawn by a key",
                field="key",
                value=None,
                fix="Give key=DrawKey((run, epoch, step)), a new one for each step.",
            )
        n, n_rows, n_params = len(bindings), template.n_rows, template.n_params
        moved = n_params + n_rows * rows_gradient
        drawn = generator(key.and_also(_DIRECTIONS), 0).integers(0, 2, (self.directions, moved))
        deltas = 2.0 * drawn - 1.0
        steps = self.size * np.concatenate([np.zeros((1, moved)), deltas, -deltas])
        params = np.broadcast_to(bindings.params, (n, n_params))
        rows = np.tile(bindings.rows, (len(steps), 1, 1))
        if rows_gradient:
            rows = rows + steps[:, None, n_params:]
        amplitudes = bindings.amplitudes
        planned = Bindings(
            rows.reshape(len(steps) * n, n_rows),  # A may be 0, as with amplitudes
            (params + steps[:, None, :n_params]).reshape(len(steps) * n, n_params),
            None if amplitudes is None else np.tile(amplitudes, (len(steps), 1)),
        )

        def combine(values: FloatArray) -> tuple[FloatArray, Pullback]:
            here, *sides = np.split(
                values.reshape(len(steps), n, -1), [1, 1 + self.directions]
            )  # (1, N, O), and (K, N, O) on either side
            slopes = (sides[0] - sides[1]) / (2.0 * self.size)

            def pullback(cotangent: FloatArray) -> Gradients:
                along = np.einsum("kno,no->nk", slopes, cotangent)
                found = along @ deltas / self.directions
                by_row = found[:, n_params:] if rows_gradient else np.zeros((n, n_rows))
                return Gradients(by_row, found[:, :n_params])

            return here[0], pullback

        return GradientPlan(template, planned, combine)

"""Zero-noise extrapolation: Temme, Bravyi & Gambetta 2017 (PRL 119, 180509); folding:
Giurgica-Tiron et al. 2020 (arXiv:2005.10921).

Each scale is an evaluation of its own, with draws of its own, so the variance of the result is the
sum of theirs, times the squares of the slopes of the extrapolation. The errors of a calibration are
those of all scales, and add up with their signs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from qstore_ray.backends.base import Estimates, Gradients, Pullback, Usage
from qstore_ray.backends.mitigation.calibration_errors import (
    with_shared_errors,
    without_shared_errors,
)
from qstore_ray.backends.mitigation.config import MitigationCost, ZneConfig, zne_cost
from qstore_ray.backends.mitigation.extrapolation import extrapolate
from qstore_ray.backends.mitigation.folding import fold
from qstore_ray.backends.mitigation.placed_circuit import PlacedCircuit
from qstore_ray.backends.mitigation.runner import CircuitRun, Runner
from qstore_ray.errors import ConfigError

if TYPE_CHECKING:
    from qstore_ray.types import FloatArray

_WORD = 0x5A4E45
"""Names the draws of the scales."""


class ZneRunner:
    """Values extrapolated to no noise."""

    def __init__(self, inner: Runner, config: ZneConfig) -> None:
        self._inner, self._config = inner, config

    def check(self, asked: CircuitRun) -> None:
        """See `Runner`: whether folding reaches different scales."""
        if asked.circuit.gates:
            self._runs(asked)
        self._inner.check(asked)

    def run(self, asked: CircuitRun) -> Estimates:
        """See `Runner`."""
        if not asked.circuit.gates:
            return self._inner.run(asked)
        runs, scales = self._runs(asked)
        return self._combined(scales, [self._inner.run(each) for each in runs])[0]

    def vjp(self, asked: CircuitRun, *, rows_gradient: bool) -> tuple[Estimates, Pullback]:
        """See `Runner`."""
        if not asked.circuit.gates:
            return self._inner.vjp(asked, rows_gradient=rows_gradient)
        runs, scales = self._runs(asked)
        found = [self._inner.vjp(each, rows_gradient=rows_gradient) for each in runs]
        estimates, slopes = self._combined(scales, [each for each, _ in found])

        def pullback(cotangent: FloatArray) -> Gradients:
            parts = [
                back(cotangent * slope) for (_, back), slope in zip(found, slopes, strict=True)
            ]
            amplitudes = [p.amplitudes for p in parts if p.amplitudes is not None]
            return Gradients(
                np.sum([p.rows for p in parts], axis=0),
                np.sum([p.params for p in parts], axis=0),
                np.sum(amplitudes, axis=0) if amplitudes else None,
            )

        return estimates, pullback

    def cost(self) -> MitigationCost:
        """See `Runner`."""
        return zne_cost(self._config).times(self._inner.cost())

    def _runs(self, asked: CircuitRun) -> tuple[list[CircuitRun], FloatArray]:
        config = self._config
        folded = [fold(asked.circuit, scale, config.folding) for scale in config.scales]
        scales = np.array([each.scale for each in folded])
        if len(set(scales.tolist())) < len(scales):
            raise _alike_error(asked.circuit, config, scales)
        runs = [
            asked._replace(circuit=each.circuit, key=asked.drawing(_WORD, number))
            for number, each in enumerate(folded)
        ]
        return runs, scales

    def _combined(self, scales: FloatArray, found: list[Estimates]) -> tuple[Estimates, FloatArray]:
        values, slopes = extrapolate(
            self._config.extrapolation, scales, np.array([each.values for each in found])
        )
        own = [without_shared_errors(each) for each in found]
        known = [each for each in own if each is not None]
        variances = None
        if len(known) == len(found):
            variances = (slopes**2 * np.array(known)).sum(axis=0)
        usage = Usage(sum(e.usage.circuits for e in found), sum(e.usage.shots for e in found))
        combined = Estimates(values, variances, usage)
        shared = [each.shared_errors for each in found if each.shared_errors is not None]
        if shared:  # all scales have the same calibration
            total = (slopes[..., None] * np.array(shared)).sum(axis=0)
            combined = with_shared_errors(combined, total)
        return combined, slopes


def _alike_error(circuit: PlacedCircuit, config: ZneConfig, scales: FloatArray) -> ConfigError:
    reached = ", ".join(f"{scale:.3g}" for scale in scales)
    return ConfigError(
        f"{len(circuit.gates)} gates are too few for these scales: folding reaches {reached}",
        field="mitigation.zne.scales",
        value=list(config.scales),
        fix="Take odd scales, for example [1, 3, 5], which every circuit reaches.",
    )

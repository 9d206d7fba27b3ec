"""Barren plateaus: how fast gradients vanish as a family of circuits gets wider.

In a deep random circuit the derivative of an expectation value by any parameter has mean 0 and a
variance that falls exponentially with the number of qubits n (McClean et al. 2018, Nature
Communications 9, 4812, arXiv:1803.11173). Whether a circuit of yours does so can be measured where
it is still small:

    def derivatives(n_qubits, n_samples, rng):
        template = build_circuit(..., n_qubits=n_qubits).template
        params = rng.uniform(-np.pi, np.pi, (n_samples, template.n_params))
        rows = np.zeros((n_samples, template.n_rows))
        _, pullback = backend.vjp(template, [Observable.parse("Z0")], Bindings(rows, params))
        return pullback(np.ones((n_samples, 1))).params[:, 0]

    gradient_variance_against_width(derivatives, [2, 4, 6, 8])
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from qstore_ray.errors import ConfigError

if TYPE_CHECKING:
    from qstore_ray.types import FloatArray

_ERRORS = 3.0  # standard errors above 0 from which a rate is one
_FEWEST_SAMPLES = 10


class Derivatives(Protocol):
    """∂C/∂θ_k of one parameter at random points of a family of circuits."""

    def __call__(self, n_qubits: int, n_samples: int, rng: np.random.Generator, /) -> FloatArray:
        """The derivative at `n_samples` points drawn with `rng`: (n_samples,)."""
        ...


class WidthFit(NamedTuple):
    """Var[∂C/∂θ] ∝ exp(−rate · n), fitted.

    Attributes:
        qubits: n of each measurement. variances: Var[∂C/∂θ] there.
        rate: per qubit; ln 2 ≈ 0.693 for a circuit that is random enough (a 2-design).
        rate_error: the standard error of the rate.
    """

    qubits: tuple[int, ...]
    variances: tuple[float, ...]
    rate: float
    rate_error: float

    @property
    def is_barren(self) -> bool:
        """Whether the variance falls with the width by more than three standard errors."""
        return self.rate > _ERRORS * self.rate_error

    @property
    def message(self) -> str:
        """A sentence for the user."""
        measured = f"Var[∂C/∂θ] goes with exp(−({self.rate:.3f} ± {self.rate_error:.3f})·n)"
        widths = f"n = {self.qubits[0]} to {self.qubits[-1]} qubits"
        if not self.is_barren:
            return f"no barren plateau: {measured} over {widths}."
        return (
            f"barren plateau: {measured} over {widths}: each qubit makes gradients smaller by a "
            f"factor of {math.exp(self.rate / 2.0):.2f}. Use a local observable, fewer layers, or "
            "initial parameters near 0."
        )


def gradient_variance_against_width(
    derivatives: Derivatives, qubits: Sequence[int], *, n_samples: int = 300, seed: int = 0
) -> WidthFit:
    """Measure Var[∂C/∂θ] at random points for several widths, and fit its exponential decay.

    ln Var is fitted by a straight line in n, weighted with its sampling error, which comes from
    the fourth moment; where the points scatter more than that, the error of the rate is scaled up
    accordingly. The samples of a width depend on the seed and that width only.

    Args:
        derivatives: one derivative of the family at random points; see `Derivatives`.
        qubits: at least two widths.
        n_samples: random points for each width.
        seed: seed of the random points.

    Raises:
        ConfigError: fewer than two widths or ten points, or derivatives that are not
            `n_samples` finite numbers, or all the same.
    """
    widths = tuple(sorted(set(qubits)))
    if len(widths) < 2:
        raise ConfigError(
            "a decay needs two widths", field="qubits", value=widths, fix="For example [2, 4, 6]."
        )
    if n_samples < _FEWEST_SAMPLES:
        raise ConfigError(
            "too few points for a variance", field="n_samples", value=n_samples, fix="Take 100."
        )
    measured = [_variance(derivatives, n, n_samples, seed) for n in widths]
    variances, errors = (np.array(column) for column in zip(*measured, strict=True))
    rate, rate_error = _fit(np.array(widths, dtype=float), np.log(variances), errors)
    return WidthFit(widths, tuple(float(v) for v in variances), rate, rate_error)


def _variance(derivatives: Derivatives, n: int, n_samples: int, seed: int) -> tuple[float, float]:
    """The variance and the standard error of its logarithm."""
    found = np.asarray(derivatives(n, n_samples, np.random.default_rng([seed, n])), dtype=float)
    if found.shape != (n_samples,) or not np.isfinite(found).all():
        raise ConfigError(
            f"the derivatives for {n} qubits must be {n_samples} finite numbers",
            field="derivatives",
            value=found.shape if found.shape != (n_samples,) else found[~np.isfinite(found)][0],
        )
    centred = found - found.mean()
    variance = float(centred @ centred) / (n_samples - 1)
    if variance <= 1e-24 * float(found @ found) or variance == 0.0:
        raise ConfigError(
            f"the derivative for {n} qubits is the same at all points",
            field="derivatives",
            value=float(found[0]),
            fix="Take a parameter that the observable depends on, or redraw all parameters.",
        )
    kurtosis = float((centred**4).mean()) / variance**2
    spread = (kurtosis - (n_samples - 3) / (n_samples - 1)) / n_samples
    return variance, math.sqrt(max(spread, 1.0 / n_samples**2))


def _fit(x: FloatArray, y: FloatArray, errors: FloatArray) -> tuple[float, float]:
    """−slope of the weighted straight line through the points, and its standard error."""
    weights = errors**-2
    centred = x - weights @ x / weights.sum()
    information = float(weights @ centred**2)
    slope = float((weights * centred) @ y) / information
    residuals = y - weights @ y / weights.sum() - slope * centred
    chi_square = float(weights @ residuals**2)
    scatter = max(1.0, chi_square / (len(x) - 2)) if len(x) > 2 else 1.0
    return -slope, math.sqrt(scatter / information)

"""Gradient variance against width: circuits whose decay is known, measured on the real backend."""

from __future__ import annotations

import math

import numpy as np
import pytest

from qstore_ray.backends.base import Bindings
from qstore_ray.backends.statevector import StatevectorBackend
from qstore_ray.circuits.library.library import build_circuit
from qstore_ray.circuits.observable import Observable
from qstore_ray.circuits.template import Op, Template, param
from qstore_ray.errors import ConfigError
from qstore_ray.learn.diagnostics.barren import gradient_variance_against_width

BACKEND = StatevectorBackend()
WIDTHS = [2, 3, 4, 5, 6, 7]


def _turned(n_qubits: int) -> Template:
    """One rotation a qubit: ⟨∏ Z_i⟩ = ∏ cos θ_i."""
    ops = tuple(Op("rx", (q,), (param(q),)) for q in range(n_qubits))
    return Template(n_qubits, ops, n_params=n_qubits)


def _deep(n_qubits: int) -> Template:
    circuit = build_circuit(
        encoding="angle", ansatz="strongly_entangling", n_qubits=n_qubits, n_features=1,
        layers=4 * n_qubits,
    )  # fmt: skip
    return circuit.template


def _derivatives(template_of, label_of, index=lambda template: 0):
    def derivatives(n_qubits, n_samples, rng):
        template = template_of(n_qubits)
        params = rng.uniform(-np.pi, np.pi, (n_samples, template.n_params))
        bindings = Bindings(np.zeros((n_samples, template.n_rows)), params)
        _, pullback = BACKEND.vjp(template, [Observable.parse(label_of(n_qubits))], bindings)
        return pullback(np.ones((n_samples, 1))).params[:, index(template)]

    return derivatives


def _global(n_qubits: int) -> str:
    return " ".join(f"Z{q}" for q in range(n_qubits))


def test_a_product_of_cosines_halves_its_variance_with_every_qubit():
    """Var[∂C/∂θ_0] = E[sin²]·E[cos²]^{n−1} = 2^{−n}: the rate is ln 2."""
    fit = gradient_variance_against_width(_derivatives(_turned, _global), WIDTHS, n_samples=4000)
    assert fit.rate == pytest.approx(math.log(2), abs=3 * fit.rate_error)
    assert fit.rate_error < 0.03
    np.testing.assert_allclose(fit.variances, 2.0 ** -np.array(WIDTHS), rtol=0.2)
    assert fit.is_barren
    assert fit.message.startswith("barren plateau")
    assert "a factor of 1.4" in fit.message


def test_a_local_observable_of_the_same_circuit_does_not_decay():
    fit = gradient_variance_against_width(_derivatives(_turned, lambda n: "Z0"), WIDTHS)
    assert abs(fit.rate) < 3 * fit.rate_error + 1e-9
    np.testing.assert_allclose(fit.variances, 0.5, rtol=0.2)
    assert not fit.is_barren
    assert fit.message.startswith("no barren plateau")


def test_a_deep_random_circuit_is_barren_even_for_a_local_observable():
    """McClean et al. 2018: 2^{−n} for a 2-design; the middle parameter has both sides random."""
    middle = _derivatives(_deep, lambda n: "Z0 Z1", lambda template: template.n_params // 2)
    fit = gradient_variance_against_width(middle, [2, 3, 4, 5, 6], n_samples=400)
    assert fit.is_barren
    assert 0.5 < fit.rate < 1.5


def test_the_error_of_the_rate_is_the_scatter_over_seeds():
    measured = [
        gradient_variance_against_width(
            lambda n, m, rng: math.exp(-0.3 * n) * rng.normal(size=m), WIDTHS, seed=seed
        )
        for seed in range(200)
    ]
    rates = np.array([fit.rate for fit in measured])
    errors = np.array([fit.rate_error for fit in measured])
    assert rates.mean() == pytest.approx(0.6, abs=4 * rates.std() / math.sqrt(200))
    # scaling up for scatter makes the error a little larger on the average
    assert 0.9 < np.median(errors) / rates.std() < 1.4


def test_the_points_of_a_width_do_not_depend_on_the_other_widths():
    source = _derivatives(_turned, _global)
    few = gradient_variance_against_width(source, [4, 2], n_samples=50)
    more = gradient_variance_against_width(source, [2, 3, 4], n_samples=50)
    assert few.qubits == (2, 4)
    assert few.variances == (more.variances[0], more.variances[2])


@pytest.mark.parametrize(
    ("derivatives", "qubits", "n_samples", "field"),
    [
        (lambda n, m, rng: rng.normal(size=m), [4], 100, "qubits"),
        (lambda n, m, rng: rng.normal(size=m), [4, 4], 100, "qubits"),
        (lambda n, m, rng: rng.normal(size=m), [2, 4], 9, "n_samples"),
        (lambda n, m, rng: rng.normal(size=(m, 1)), [2, 4], 20, "derivatives"),
        (lambda n, m, rng: np.full(m, np.nan), [2, 4], 20, "derivatives"),
        (lambda n, m, rng: np.zeros(m), [2, 4], 20, "derivatives"),
        (lambda n, m, rng: np.full(m, 0.3), [2, 4], 20, "derivatives"),
    ],
)
def test_what_cannot_be_fitted_is_refused(derivatives, qubits, n_samples, field):
    with pytest.raises(ConfigError) as caught:
        gradient_variance_against_width(derivatives, qubits, n_samples=n_samples)
    assert caught.value.field == field

"""The Fubini–Study metric against its definition, and where it is known on paper."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings

from qstore_ray.backends.aer import AerBackend
from qstore_ray.backends.base import Bindings
from qstore_ray.backends.statevector import StatevectorBackend
from qstore_ray.circuits.library.library import build_circuit
from qstore_ray.circuits.template import Op, Template, param, row
from qstore_ray.errors import ConfigError
from qstore_ray.learn import fubini_study as metric_module
from qstore_ray.learn.fubini_study import fidelities, layers, metrics, natural_direction
from qstore_ray.simulate import reference
from qstore_ray.testing.strategies import Case, cases

BACKENDS = {name: StatevectorBackend(engine=name) for name in ("native", "numpy")}
every_engine = pytest.mark.parametrize("engine", BACKENDS)
STEP = 1e-5


def _by_differences(template: Template, bindings: Bindings) -> np.ndarray:
    """The definition, with central differences of the reference's states."""
    n, n_params = len(bindings), template.n_params
    params = np.broadcast_to(bindings.params, (n, n_params))

    def states(at: np.ndarray) -> np.ndarray:
        return reference.states(template, bindings.rows, at, bindings.amplitudes)

    psi = states(params)
    slopes = [
        (states(params + STEP * unit) - states(params - STEP * unit)) / (2 * STEP)
        for unit in np.eye(n_params)
    ]
    found = np.zeros((n, n_params, n_params))
    for i, left in enumerate(slopes):
        for j, right in enumerate(slopes):
            for r in range(n):
                both = np.vdot(left[r], right[r])
                each = np.vdot(left[r], psi[r]) * np.vdot(psi[r], right[r])
                found[r, i, j] = (both - each).real
    return found


def _bound(*params: float) -> Bindings:
    return Bindings(np.zeros((1, 0)), np.array(params))


@every_engine
@settings(max_examples=30)
@given(case=cases())
def test_it_is_the_definition(engine: str, case: Case):
    found = metrics(BACKENDS[engine], case.template, case.bindings)
    expected = _by_differences(case.template, case.bindings)
    np.testing.assert_allclose(found, expected, atol=1e-8)


@settings(max_examples=50)
@given(case=cases())
def test_it_is_symmetric_and_measures_no_negative_length(case: Case):
    for found in metrics(BACKENDS["numpy"], case.template, case.bindings):
        np.testing.assert_array_equal(found, found.T)
        assert not len(found) or np.linalg.eigvalsh(found).min() > -1e-12


@pytest.mark.parametrize(
    ("ops", "params", "expected"),
    [
        ((Op("rx", (0,), (param(0),)),), (0.7,), [[0.25]]),
        ((Op("rx", (0,), (param(0, scale=2.0),)),), (0.7,), [[1.0]]),
        ((Op("rz", (0,), (param(0),)),), (0.7,), [[0.0]]),  # |0⟩ only gets a phase
        (  # the sphere: ¼(dθ² + sin²θ dφ²)
            (Op("rx", (0,), (param(0),)), Op("rz", (0,), (param(1),))),
            (0.7, 1.9),
            [[0.25, 0.0], [0.0, 0.25 * np.sin(0.7) ** 2]],
        ),
        (  # P(φ) is RZ(φ) but for a phase that moves with φ: no state can tell
            (Op("ry", (0,), (param(0),)), Op("p", (0,), (param(1),))),
            (0.7, 1.9),
            [[0.25, 0.0], [0.0, 0.25 * np.sin(0.7) ** 2]],
        ),
        (  # two rotations about one axis are one
            (Op("ry", (0,), (param(0),)), Op("ry", (0,), (param(1),))),
            (0.7, 1.9),
            [[0.25, 0.25], [0.25, 0.25]],
        ),
        (  # a controlled rotation turns only what its control lets through
            (Op("ry", (0,), (param(0),)), Op("cry", (0, 1), (param(1),))),
            (0.7, 0.0),
            [[0.25, 0.0], [0.0, 0.25 * np.sin(0.35) ** 2]],
        ),
    ],
)
def test_known_closed_forms(ops, params, expected):
    template = Template(2, ops, n_params=len(params))
    found = metrics(BACKENDS["numpy"], template, _bound(*params))
    np.testing.assert_allclose(found, [expected], atol=1e-14)


def test_it_has_the_same_bits_however_many_rows_are_asked_for_at_once(monkeypatch):
    template = build_circuit(
        encoding="angle", ansatz="efficient_su2", n_qubits=3, n_features=3, layers=2
    )
    bindings = _random(template.template, 7)
    whole = metrics(BACKENDS["native"], template.template, bindings)
    monkeypatch.setattr(metric_module, "_STATES_BYTES", 1)
    apart = metrics(BACKENDS["native"], template.template, bindings)
    assert whole.tobytes() == apart.tobytes()


@settings(max_examples=30)
@given(case=cases())
def test_fidelity_falls_by_the_metric(case: Case):
    """|⟨ψ(θ)|ψ(θ + d)⟩|² = 1 − dᵀ g d + O(‖d‖³)."""
    n, n_params = len(case.bindings), case.template.n_params
    step = 1e-3 * np.cos(np.arange(n_params))
    moved = replace(case.bindings, params=case.bindings.params + step)
    found = fidelities(BACKENDS["numpy"], case.template, case.bindings, [case.bindings, moved])
    assert found.shape == (2, n)
    np.testing.assert_allclose(found[0], 1.0, atol=1e-12)
    g = metrics(BACKENDS["numpy"], case.template, case.bindings)
    np.testing.assert_allclose(1.0 - found[1], np.einsum("i,nij,j->n", step, g, step), atol=1e-7)


def _random(template: Template, n: int) -> Bindings:
    rng = np.random.default_rng(1)
    return Bindings(rng.normal(size=(n, template.n_rows)), rng.normal(size=template.n_params))


def test_layers_of_the_library():
    circuit = build_circuit(
        encoding="angle", ansatz="hardware_efficient", n_qubits=2, n_features=2, layers=2
    )
    assert layers(circuit.template) == (0, 0, 1, 1, 2, 2, 3, 3, 4, 4)


def test_layers_follow_the_wires_and_a_parameter_is_where_it_acts_first():
    ops = (
        Op("ry", (0,), (param(0),)),
        Op("ry", (0,), (row(0),)),  # not learned: no layer of its own
        Op("cx", (0, 1)),
        Op("ry", (1,), (param(1),)),  # after param 0, by way of the CX
        Op("ry", (2,), (param(2),)),
        Op("rz", (1,), (param(0),)),
    )
    template = Template(3, ops, n_rows=1, n_params=4)
    assert layers(template) == (0, 1, 0, 0)


def test_within_a_layer_the_metric_is_that_of_the_layer_alone():
    """Stokes et al.: a block is the covariance of the layer's generators in the state before it."""
    ops = tuple(Op("ry", (q,), (param(q),)) for q in range(3))
    ops += tuple(Op("cx", (q, q + 1)) for q in range(2))
    ops += tuple(Op("rx", (q,), (param(3 + q),)) for q in range(3))
    template = Template(3, ops, n_params=6)
    params = np.random.default_rng(2).normal(size=6)
    found = metrics(BACKENDS["numpy"], template, _bound(*params))[0]
    before = Template(3, ops[:5], n_params=3)
    psi = reference.states(before, np.zeros((1, 0)), params[:3])[0]
    flips = [psi[np.arange(8) ^ (1 << q)] for q in range(3)]  # X_q|ψ⟩
    means = [np.vdot(psi, flip).real for flip in flips]
    for i in range(3):
        for j in range(3):
            covariance = np.vdot(flips[i], flips[j]).real - means[i] * means[j]
            np.testing.assert_allclose(found[3 + i, 3 + j], covariance / 4, atol=1e-14)
    assert layers(template) == (0, 0, 0, 1, 1, 1)


def test_the_natural_direction_solves_and_takes_curvature_by_its_size():
    matrix = np.array([[2.0, 1.0], [1.0, -3.0]])
    gradient = np.array([1.0, -2.0])
    values, vectors = np.linalg.eigh(matrix)
    size = vectors @ np.diag(np.abs(values)) @ vectors.T
    expected = np.linalg.solve(size + 0.1 * np.eye(2), gradient)
    np.testing.assert_allclose(natural_direction(matrix, gradient, 0.1), expected, rtol=1e-13)


def test_a_backend_without_states_is_refused():
    template = Template(1, (Op("rx", (0,), (param(0),)),), n_params=1)
    with pytest.raises(ConfigError) as caught:
        metrics(AerBackend(), template, _bound(0.3))
    assert caught.value.field == "trainer.backend"
    assert caught.value.value == "aer"
    assert "'statevector'" in caught.value.fix

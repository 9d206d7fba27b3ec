"""Fidelities and the metric from circuits, against those of states."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings

from qstore_ray.backends.aer import AerBackend
from qstore_ray.backends.base import Bindings
from qstore_ray.backends.ibm.backend import IbmBackend
from qstore_ray.backends.ibm.gateway.recording import recording
from qstore_ray.backends.keys import DrawKey
from qstore_ray.backends.statevector import StatevectorBackend
from qstore_ray.circuits.template import Op, Template, param, row
from qstore_ray.errors import ConfigError
from qstore_ray.learn.fubini_study import fidelities, metrics
from qstore_ray.learn.optimizers import get_optimizer
from qstore_ray.learn.optimizers.qn_spsa import QNSPSA
from qstore_ray.learn.overlap_circuits import WIDEST, measured_fidelities
from qstore_ray.testing.strategies import Case, cases
from tests.search_problems import Analytic

EXACT = StatevectorBackend(engine="numpy")
CIRCUIT = Template(
    2,
    (
        Op("ry", (0,), (row(0),)),
        Op("ry", (0,), (param(0),)),
        Op("cx", (0, 1)),
        Op("rx", (1,), (param(1),)),
        Op("crz", (1, 0), (param(2),)),
    ),
    n_rows=1,
    n_params=3,
)
HERE = Bindings(np.array([[0.3], [1.9]]), np.array([0.4, 1.1, -0.7]))


def _moved(*by: float) -> Bindings:
    return replace(HERE, params=HERE.params + np.array(by))


THERE = [_moved(0.5, -0.2, 0.9), _moved(0.0, 0.0, 0.0), _moved(-1.0, 0.4, 0.1)]


@settings(max_examples=30)
@given(case=cases())
def test_circuits_give_the_fidelities_of_states(case: Case):
    if case.template.initial == "amplitudes":
        return
    step = np.cos(np.arange(case.template.n_params))
    others = [case.bindings, replace(case.bindings, params=case.bindings.params + step)]
    found = measured_fidelities(EXACT, case.template, case.bindings, others)
    expected = fidelities(EXACT, case.template, case.bindings, others)
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_a_backend_without_states_runs_the_circuits():
    found = fidelities(AerBackend(), CIRCUIT, HERE, THERE)
    np.testing.assert_allclose(found, fidelities(EXACT, CIRCUIT, HERE, THERE), atol=1e-12)


def test_shots_are_right_in_the_mean_and_depend_on_the_key():
    shots, draws = 200, 200
    backend = StatevectorBackend(engine="numpy", shots=shots)
    found = np.array(
        [fidelities(backend, CIRCUIT, HERE, THERE, DrawKey((7, n))) for n in range(draws)]
    )
    exact = fidelities(EXACT, CIRCUIT, HERE, THERE)
    error = np.sqrt(exact * (1.0 - exact) / (shots * draws))
    assert (np.abs(found.mean(axis=0) - exact) <= 4.0 * error + 1e-12).all()
    assert (found[:, 1] == 1.0).all(), "the same state leaves zeros alone"
    again = fidelities(backend, CIRCUIT, HERE, THERE, DrawKey((7, 0)))
    assert again.tobytes() == found[0].tobytes()


def test_the_metric_from_shots_is_the_metric_in_the_mean():
    """The bias of a sample is of order c²; its error is that of the shots and of the directions."""
    backend = StatevectorBackend(engine="numpy", shots=400)
    optimizer = get_optimizer("qn_spsa", {"directions": 100, "perturbation": 0.15})
    assert isinstance(optimizer, QNSPSA)

    class Measured(Analytic):
        def fidelities(self, theta, others):
            points = [replace(HERE, params=other) for other in others]
            key = DrawKey((3, self.key[1]))
            return fidelities(backend, CIRCUIT, HERE, points, key).mean(axis=1)

    samples = []
    for number in range(15):
        problem = Measured(sum, np.zeros_like, key=(5, number), n_circuit=3)
        pairs = optimizer._pairs(problem)
        seen = problem.fidelities(HERE.params, optimizer._moved(HERE.params, pairs))
        samples.append(optimizer._sample(seen, pairs))
    exact = metrics(EXACT, CIRCUIT, HERE).mean(axis=0)
    error = np.std(samples, axis=0, ddof=1) / np.sqrt(len(samples))
    assert (np.abs(np.mean(samples, axis=0) - exact) < 4.0 * error + 0.15**2 / 2.0).all()
    assert error.max() < 0.04


def test_what_cannot_be_undone_or_is_too_wide_is_refused():
    loaded = Template(1, (Op("ry", (0,), (param(0),)),), n_params=1, initial="amplitudes")
    one = Bindings(np.zeros((1, 0)), np.zeros(1), np.ones((1, 2)) / np.sqrt(2.0))
    with pytest.raises(ConfigError, match="cannot be undone"):
        fidelities(StatevectorBackend(shots=10), loaded, one, [one], DrawKey((1,)))
    n = WIDEST + 1
    wide = Template(n, tuple(Op("ry", (q,), (param(0),)) for q in range(n)), n_params=1)
    here = Bindings(np.zeros((1, 0)), np.array([0.2]))
    with pytest.raises(ConfigError, match=f"at most {WIDEST} qubits"):
        measured_fidelities(EXACT, wide, here, [here])
    found = fidelities(StatevectorBackend(shots=50), wide, here, [here], DrawKey((1,)))
    assert found.tolist() == [[1.0]], "counts have no limit"


def test_values_of_ibms_estimator_have_no_counts_and_do():
    backend = IbmBackend("fake_manila", 64, estimator={"resilience_level": 1})
    with recording() as gateway:
        found = fidelities(backend, CIRCUIT, HERE, THERE, DrawKey((1,)))
        (request,) = gateway.take()
    assert found.shape == (3, 2)
    assert request.rows == 6

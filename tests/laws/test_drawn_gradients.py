"""The laws of a gradient method that draws its plan: its mean is the gradient."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from qstore_ray.backends.base import Bindings
from qstore_ray.backends.keys import DrawKey
from qstore_ray.backends.statevector import StatevectorBackend
from qstore_ray.circuits.observable import z_observables
from qstore_ray.circuits.template import Op, Template, param, row
from qstore_ray.errors import BackendError, CircuitError, ConfigError
from qstore_ray.learn.gradients import get_gradient, linearize
from qstore_ray.learn.gradients.parameter_shift import RandomCoordinateShift
from qstore_ray.learn.gradients.spsa import SpsaGradient
from qstore_ray.testing.strategies import Case, cases
from qstore_ray.train.config import TrainerConfig
from tests.laws.test_training import _job, _train, rows

__all__ = ["rows"]  # a fixture

METHOD = RandomCoordinateShift()
BACKEND = StatevectorBackend()
KEYS = [DrawKey((3, word)) for word in range(400)]
TEMPLATE = Template(
    2,
    (
        Op("ry", (0,), (row(0),)), Op("crx", (0, 1), (param(0),)), Op("rz", (1,), (param(1),)),
        Op("ry", (1,), (param(0, 2.0),)),
    ),
    1,
    2,
)  # fmt: skip
CASE = Case(TEMPLATE, z_observables(2), Bindings(np.array([[0.4], [1.0]]), np.array([0.3, 0.8])))
GATES = 3  # that depend on a parameter
COTANGENT = np.array([[1.0, -0.5], [0.3, 2.0]])


def _gradient(case: Case, key: DrawKey, cotangent, *, rows_gradient: bool = False):
    _, pullback = linearize(METHOD, BACKEND, *case, rows_gradient=rows_gradient, key=key)
    found = pullback(cotangent)
    return np.hstack([found.params, found.rows])


@settings(max_examples=15, deadline=None)
@given(case=cases(initial=("zeros",)))
@pytest.mark.parametrize("rows_gradient", [False, True])
def test_the_mean_over_the_gates_is_the_gradient(rows_gradient: bool, case: Case):
    """One key for each gate that can be drawn: they all have the same chance."""
    template, observables, b = case
    cotangent = np.random.default_rng(6).normal(size=(len(b), len(observables)))
    wanted = {"param", "row"} if rows_gradient else {"param"}
    gates = sum(any(map(a.depends_on, wanted)) for op in template.ops for a in op.angles)
    _, pullback = BACKEND.vjp(*case, rows_gradient=rows_gradient)
    exact = pullback(cotangent)
    expected = np.hstack([exact.params, exact.rows])
    chosen: dict[bytes, np.ndarray] = {}
    for key in KEYS:
        plan = METHOD.plan(template, b, rows_gradient=rows_gradient, key=key)
        assert len(plan.bindings) in [len(b) * n for n in ((3, 5, 7) if gates else (1,))]
        name = (plan.bindings.params != plan.bindings.params[0]).any(axis=0).tobytes()
        if len(b) == 1 and name not in chosen:
            chosen[name] = _gradient(case, key, cotangent, rows_gradient=rows_gradient)
    if len(b) == 1 and gates:
        assert len(chosen) == gates
        np.testing.assert_allclose(sum(chosen.values()) / gates, expected, atol=1e-9)


def test_every_gate_has_the_same_chance():
    drawn = Counter(_gradient(CASE, key, COTANGENT).tobytes() for key in KEYS)
    assert len(drawn) == GATES
    assert max(drawn.values()) - min(drawn.values()) < 5 * np.sqrt(len(KEYS) / GATES) * 2
    _, pullback = BACKEND.vjp(*CASE)
    mean = np.mean([np.frombuffer(text).reshape(2, 3) for text in drawn], axis=0)
    np.testing.assert_allclose(mean[:, :2], pullback(COTANGENT).params, atol=1e-12)


def test_all_parts_of_a_batch_shift_the_same_gate():
    whole = _gradient(CASE, KEYS[0], COTANGENT)
    for start in (0, 1):
        part = CASE._replace(
            bindings=Bindings(CASE.bindings.rows[start : start + 1], CASE.bindings.params)
        )
        key = KEYS[0]._replace(first_row=start)
        found = _gradient(part, key, COTANGENT[start : start + 1])
        np.testing.assert_allclose(found[0], whole[start], atol=1e-14)


def test_no_parameters_have_no_gradient():
    template = Template(1, (Op("rx", (0,), (row(0),)),), 1, 0)
    case = Case(template, z_observables(1), Bindings(np.array([[0.3]]), np.zeros(0)))
    assert _gradient(case, KEYS[0], np.ones((1, 1))).tolist() == [[0.0]]


def test_without_a_key_it_is_refused():
    with pytest.raises(BackendError, match="key"):
        linearize(METHOD, BACKEND, *CASE)
    loading = Template(1, (), initial="amplitudes")
    bindings = Bindings(np.zeros((1, 0)), np.zeros(0), np.eye(1, 2))
    with pytest.raises(CircuitError, match="amplitudes"):
        METHOD.plan(loading, bindings, rows_gradient=True, key=KEYS[0])
    assert get_gradient("random_coordinate_shift", BACKEND).name == METHOD.name


def test_a_backend_without_keys_is_given_none():
    class Keyless:
        name = "keyless"

        def check(self, *arguments):
            BACKEND.check(*arguments)

        def evaluate(self, template, observables, bindings, *, shots=None):
            return BACKEND.evaluate(template, observables, bindings, shots=shots)

    values, _ = linearize(METHOD, Keyless(), *CASE, key=KEYS[0])
    np.testing.assert_allclose(values.values, BACKEND.evaluate(*CASE).values, atol=1e-12)


@pytest.mark.parametrize("options", [{}, {"backend_options": {"shots": 16}}])
def test_workers_change_no_bit(options, rows, tmp_path: Path):
    options = {"gradient": "random_coordinate_shift", "epochs": 2, **options}
    alone = _train(_job(tmp_path / "0", **options), rows)
    for workers in (1, 2, 3):
        found = _train(_job(tmp_path / str(workers), **options), rows, workers)
        assert found.theta.tobytes() == alone.theta.tobytes()


@pytest.mark.parametrize("rows_gradient", [False, True])
def test_the_mean_over_all_directions_is_the_gradient(rows_gradient: bool):
    """Of ±1 for each slot: 4 directions of two parameters, 8 with the angle of the row."""
    method = SpsaGradient(directions=1, size=1e-4)
    found: dict[bytes, np.ndarray] = {}
    for key in KEYS:
        plan = method.plan(TEMPLATE, CASE.bindings, rows_gradient=rows_gradient, key=key)
        assert len(plan.bindings) == 3 * len(CASE.bindings)
        moved = np.hstack([plan.bindings.params[2], plan.bindings.rows[2]])
        if moved.tobytes() not in found:
            _, pullback = linearize(method, BACKEND, *CASE, rows_gradient=rows_gradient, key=key)
            gradients = pullback(COTANGENT)
            found[moved.tobytes()] = np.hstack([gradients.params, gradients.rows])
    assert len(found) == (8 if rows_gradient else 4)
    _, pullback = BACKEND.vjp(*CASE, rows_gradient=rows_gradient)
    exact = pullback(COTANGENT)
    expected = np.hstack([exact.params, exact.rows])
    np.testing.assert_allclose(np.mean(list(found.values()), axis=0), expected, atol=1e-6)


def test_directions_are_averaged_and_values_are_those_of_the_rows():
    key = DrawKey((4, 4))
    estimates, pullback = linearize(SpsaGradient(300), BACKEND, *CASE, key=key)
    exact, exact_pullback = BACKEND.vjp(*CASE)
    np.testing.assert_allclose(estimates.values, exact.values, atol=1e-12)
    expected = exact_pullback(COTANGENT).params
    np.testing.assert_allclose(pullback(COTANGENT).params, expected, atol=0.3)


def test_options_of_a_gradient_are_checked_where_they_are_written():
    trainer = TrainerConfig(gradient="spsa", gradient_options={"directions": 2})
    assert TrainerConfig.from_dict(trainer.to_dict()) == trainer
    for options, word in (({"direction": 2}, "direction"), ({"directions": 0}, "directions")):
        with pytest.raises(ConfigError, match=word):
            TrainerConfig(gradient="spsa", gradient_options=options)
    with pytest.raises(ConfigError, match="option"):
        TrainerConfig(gradient="adjoint", gradient_options={"name": "mine"})

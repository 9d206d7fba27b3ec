"""Gradients from drawn directions, clipped rows and their variance, against their formulas."""

from __future__ import annotations

import numpy as np
import pytest

from qstore_ray.backends.base import Bindings
from qstore_ray.backends.keys import DrawKey
from qstore_ray.backends.statevector import StatevectorBackend
from qstore_ray.circuits.observable import z_observables
from qstore_ray.circuits.template import Op, Template, param, row
from qstore_ray.errors import BackendError
from qstore_ray.learn import step
from qstore_ray.learn.clipping import clip_by_norm
from qstore_ray.learn.config import ModelConfig
from qstore_ray.learn.gradients import get_gradient, linearize
from qstore_ray.learn.gradients.parameter_shift import RandomCoordinateShift
from qstore_ray.learn.gradients.spsa import SpsaGradient
from qstore_ray.learn.model import QuantumModel, build_model
from qstore_ray.learn.optimizers.gcans import GCANS
from qstore_ray.learn.optimizers.spsa import SPSA

BACKEND = StatevectorBackend()
TEMPLATE = Template(
    2,
    (
        Op("ry", (0,), (row(0),)), Op("crx", (0, 1), (param(0),)), Op("rz", (1,), (param(1),)),
        Op("ry", (1,), (param(0, 2.0),)), Op("cx", (0, 1)),
    ),
    1,
    2,
)  # fmt: skip
SEEN = z_observables(2)
B = Bindings(np.array([[0.4], [1.0], [-0.7]]), np.array([0.3, 0.8]))
COTANGENT = np.array([[1.0, -0.5], [0.3, 2.0], [-1.0, 0.7]])
KEY = DrawKey((3, 5))


# -------------------------------------------------------------------------------------------- SPSA


@pytest.mark.parametrize("rows_gradient", [False, True])
@pytest.mark.parametrize("directions", [1, 3])
def test_a_plan_evaluates_the_middle_then_each_direction_forth_then_back(rows_gradient, directions):
    plan = SpsaGradient(directions, 0.25).plan(TEMPLATE, B, rows_gradient=rows_gradient, key=KEY)
    assert plan.template is TEMPLATE
    assert len(plan.bindings) == 3 * (1 + 2 * directions)
    moved = plan.bindings.params.reshape(-1, 3, 2) - B.params
    slid = plan.bindings.rows.reshape(-1, 3, 1) - B.rows
    np.testing.assert_array_equal(moved[0], 0.0)
    forth, back = moved[1 : 1 + directions], moved[1 + directions :]
    np.testing.assert_allclose(np.abs(forth), 0.25)
    np.testing.assert_allclose(back, -forth)
    np.testing.assert_array_equal(forth, np.broadcast_to(forth[:, :1], forth.shape))
    np.testing.assert_array_equal(slid[0], 0.0)
    np.testing.assert_allclose(np.abs(slid[1:]), 0.25 if rows_gradient else 0.0)
    np.testing.assert_allclose(slid[1 + directions :], -slid[1 : 1 + directions])
    assert plan.bindings.amplitudes is None


@pytest.mark.parametrize("rows_gradient", [False, True])
def test_the_slope_along_each_direction_goes_back_along_it(rows_gradient):
    method = SpsaGradient(3, 0.25)
    plan = method.plan(TEMPLATE, B, rows_gradient=rows_gradient, key=KEY)
    values = BACKEND.evaluate(TEMPLATE, SEEN, plan.bindings).values
    here, pullback = plan.combine(values)
    np.testing.assert_array_equal(here, values[:3])
    moved = np.concatenate([plan.bindings.params, plan.bindings.rows], axis=1).reshape(7, 3, 3)
    deltas = (moved[1:4] - moved[0]) / 0.25
    by_side = values.reshape(7, 3, 2)
    expected = np.zeros((3, 3))
    for k in range(3):
        slope = (by_side[1 + k] - by_side[4 + k]) / 0.5
        expected += (slope * COTANGENT).sum(axis=1)[:, None] * deltas[k] / 3
    found = pullback(COTANGENT)
    np.testing.assert_allclose(found.params, expected[:, :2], atol=1e-12)
    np.testing.assert_allclose(found.rows, expected[:, 2:] if rows_gradient else 0.0, atol=1e-12)


def test_many_directions_have_the_gradient_as_their_mean():
    _, pullback = linearize(SpsaGradient(4000, 0.01), BACKEND, TEMPLATE, SEEN, B, key=KEY)
    _, exact = BACKEND.vjp(TEMPLATE, SEEN, B)
    np.testing.assert_allclose(pullback(COTANGENT).params, exact(COTANGENT).params, atol=0.12)


def test_directions_are_those_of_the_key_and_amplitudes_are_repeated():
    method = SpsaGradient(2, 0.5)
    first, same, other = (
        method.plan(TEMPLATE, B, rows_gradient=False, key=key).bindings.params
        for key in (KEY, DrawKey((3, 5)), DrawKey((3, 9)))
    )
    np.testing.assert_array_equal(first, same)
    assert (first != other).any()
    start = np.eye(4, dtype=complex)[:2]
    template = Template(2, (Op("ry", (0,), (param(0),)),), 0, 1, "amplitudes")
    plan = method.plan(
        template, Bindings(np.zeros((2, 0)), np.zeros(1), start), rows_gradient=False, key=KEY
    )
    np.testing.assert_array_equal(plan.bindings.amplitudes, np.tile(start, (5, 1)))


def test_a_model_of_encoded_amplitudes_has_directions_too():
    model = _model(encoding="amplitude")
    x, y = np.random.default_rng(2).uniform(0.1, 1.0, (5, 2)), np.array([0, 1, 2, 0, 1])
    theta = np.linspace(0.2, 1.1, model.n_parameters)
    many = get_gradient("spsa", BACKEND, {"directions": 2000, "size": 0.01})
    found = step.total(step.value_and_grad(model, theta, x, y, BACKEND, many, key=KEY))
    exact = step.total(
        step.value_and_grad(model, theta, x, y, BACKEND, get_gradient("adjoint", BACKEND))
    )
    np.testing.assert_allclose(found.gradient, exact.gradient, atol=0.15)
    assert found.loss == pytest.approx(exact.loss)


# -------------------------------------------------------------------------------------- coordinates


def test_a_drawn_gate_stands_for_all_of_them():
    found = {}
    for word in range(60):
        method, key = RandomCoordinateShift(), DrawKey((1, word))
        plan = method.plan(TEMPLATE, B, rows_gradient=False, key=key)
        changed = (plan.bindings.params != plan.bindings.params[0]).any(axis=0)
        _, pullback = linearize(method, BACKEND, TEMPLATE, SEEN, B, key=key)
        found[changed.tobytes()] = pullback(COTANGENT).params
    _, exact = BACKEND.vjp(TEMPLATE, SEEN, B)
    np.testing.assert_allclose(
        sum(found.values()) / len(found), exact(COTANGENT).params, atol=1e-10
    )
    with pytest.raises(BackendError, match="the gate that is shifted is drawn by a key") as caught:
        RandomCoordinateShift().plan(TEMPLATE, B, rows_gradient=False, key=None)
    assert (caught.value.field, caught.value.value) == ("key", None)
    assert caught.value.fix.startswith("Give key=DrawKey((run, epoch, step)), a new one for each")


# -------------------------------------------------------------------------- clipped rows of a batch


def _model(**fields) -> QuantumModel:
    config = ModelConfig(**{"n_qubits": 2, "layers": 1, **fields})
    return build_model(config, n_features=2, n_classes=3)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"input_scaling": True},
        {"head": "none", "observables": ["Z0", "X1", "Y0"]},
        {"pre_layers": [2]},
        {"post_layers": [4]},
    ],
    ids=str,
)
@pytest.mark.parametrize("clip", [0.2, 0.6, 1e6])
def test_a_clipped_batch_is_the_sum_of_its_clipped_rows(fields, clip):
    model, rng = _model(**fields), np.random.default_rng(4)
    theta = rng.uniform(0.3, 1.4, model.n_parameters)
    x, y = rng.uniform(-1, 1, (19, 2)), rng.integers(0, 3, 19)
    method = get_gradient("adjoint", BACKEND)
    whole = step.value_and_grad(model, theta, x, y, BACKEND, method, clip=clip)
    assert whole.shape == (2, model.n_parameters + 3)
    expected = np.zeros((2, model.n_parameters))
    norms = []
    for place in range(19):
        one = slice(place, place + 1)
        alone = step.total(step.value_and_grad(model, theta, x[one], y[one], BACKEND, method))
        norms.append(np.linalg.norm(alone.gradient))
        expected[place // 16] += clip_by_norm(alone.gradient, clip)
    np.testing.assert_allclose(whole[:, :-3], expected, atol=1e-10)
    plain = step.value_and_grad(model, theta, x, y, BACKEND, method)
    np.testing.assert_allclose(whole[:, -3:], plain[:, -3:], rtol=1e-12)
    if clip == 0.2:
        assert max(norms) > 0.2


# -------------------------------------------------------------------------------- the row variance


def test_the_variance_between_blocks_by_hand():
    """Blocks of 16, 16 and 4 rows: means 2, 3 and 5 of the first number, all 1 of the second."""
    counts = np.array([16.0, 16.0, 4.0])
    means = np.array([[2.0, 1.0], [3.0, 1.0], [5.0, 1.0]])
    blocks = np.column_stack([means * counts[:, None], [7.0, 8.0, 9.0], counts, [1.0, 2.0, 3.0]])
    mean = (2 * 16 + 3 * 16 + 5 * 4) / 36
    expected = (16 * (2 - mean) ** 2 + 16 * (3 - mean) ** 2 + 4 * (5 - mean) ** 2) / 2
    np.testing.assert_allclose(step.row_variance(blocks), [expected, 0.0], rtol=1e-13)
    assert np.isnan(step.row_variance(blocks[:1])).all()
    assert step.row_variance(blocks[:1]).shape == (2,)


def test_sums_are_added_in_every_part():
    blocks = np.arange(10.0).reshape(2, 5)
    first, second = step.total(blocks), step.total(10.0 * blocks)
    both = step.added([first, second])
    np.testing.assert_array_equal(both.gradient, [55.0, 77.0])
    assert (both.loss, both.n_rows, both.correct) == (99.0, 121.0, 143.0)


# ---------------------------------------------------------------------------- states of optimizers


def test_states_that_ask_for_more_rows_or_have_been_calibrated():
    optimizer, theta = GCANS(min_rows=40), np.zeros(3)
    state = optimizer.init(theta)
    assert state["rows"].tolist() == [40.0]
    most = optimizer.with_most_rows({**state, "k": np.full(1, 7.0)})
    assert (most["rows"].tolist(), most["k"].tolist()) == ([1e15], [7.0])
    fewest = optimizer.with_fewest_rows(most)
    assert (fewest["rows"].tolist(), fewest["k"].tolist()) == ([40.0], [7.0])
    start = SPSA(calibration=2).init(theta)
    assert {name: value.tolist() for name, value in start.items()} == {"k": [0.0], "factor": [0.0]}
    after = SPSA(calibration=2).calibrated({**start, "factor": np.full(1, 3.0)})
    assert {name: value.tolist() for name, value in after.items()} == {"k": [1.0], "factor": [3.0]}
    assert SPSA().init(theta)["factor"].tolist() == [1.0]

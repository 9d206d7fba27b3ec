"""The laws of an optimizer that steps by gradients, on every one of them."""

from __future__ import annotations

import io

import numpy as np
import pytest

from qstore_ray.learn.optimizers import OPTIMIZERS, Optimizer, SearchOptimizer, get_optimizer

PARABOLA, ROSENBROCK = "parabola", "rosenbrock"

# (optimizer, options, learning rate and steps on each function)
MEMBERS = [
    ("adagrad", {}, {PARABOLA: (0.8, 1000), ROSENBROCK: (0.5, 8000)}),
    (
        "adagrad",
        {"lr_decay": 1e-4, "initial_accumulator_value": 0.1},
        {PARABOLA: (0.8, 1000), ROSENBROCK: (0.8, 8000)},
    ),
    ("adam", {}, {PARABOLA: (0.1, 1000), ROSENBROCK: (0.02, 6000)}),
    ("adam", {"beta1": 0.8, "beta2": 0.99}, {PARABOLA: (0.05, 1000), ROSENBROCK: (0.005, 8000)}),
    ("adam", {"amsgrad": True}, {PARABOLA: (0.1, 1000), ROSENBROCK: (0.05, 6000)}),
    ("adam", {"weight_decay": 1e-5}, {PARABOLA: (0.1, 1000), ROSENBROCK: (0.02, 6000)}),
    ("adamw", {"weight_decay": 1e-5}, {PARABOLA: (0.1, 1000), ROSENBROCK: (0.02, 6000)}),
    ("rmsprop", {}, {PARABOLA: (0.001, 4000), ROSENBROCK: (0.001, 8000)}),
    ("rmsprop", {"centered": True}, {PARABOLA: (0.001, 5000), ROSENBROCK: (0.0005, 9000)}),
    (
        "rmsprop",
        {"momentum": 0.5, "alpha": 0.9},
        {PARABOLA: (0.0005, 4000), ROSENBROCK: (0.0005, 8000)},
    ),
    ("sgd", {}, {PARABOLA: (0.1, 400), ROSENBROCK: (0.001, 40000)}),
    ("sgd", {"momentum": 0.9}, {PARABOLA: (0.02, 600), ROSENBROCK: (0.0005, 12000)}),
    (
        "sgd",
        {"momentum": 0.9, "nesterov": True},
        {PARABOLA: (0.02, 600), ROSENBROCK: (0.0005, 12000)},
    ),
]
FUNCTIONS = {
    PARABOLA: (np.zeros(3), np.array([1.0, -2.0, 0.5])),
    ROSENBROCK: (np.array([-0.5, 1.0]), np.ones(2)),
}
every_member = pytest.mark.parametrize(
    ("name", "options", "pace"), MEMBERS, ids=[f"{n} {o}" for n, o, _ in MEMBERS]
)


def _gradient(function: str, theta: np.ndarray) -> np.ndarray:
    if function == PARABOLA:
        return np.array([1.0, 3.0, 5.0]) * (theta - FUNCTIONS[PARABOLA][1])
    x, y = theta
    return np.array([2.0 * (x - 1.0) - 40.0 * x * (y - x * x), 20.0 * (y - x * x)])


def _descend(optimizer, function: str, theta, state, rate: float, steps: int):
    for _ in range(steps):
        theta, state = optimizer.update(state, theta, _gradient(function, theta), rate)
    return theta, state


def test_every_optimizer_that_steps_by_gradients_is_tested():
    by_gradient = {name for name in OPTIMIZERS if isinstance(get_optimizer(name, {}), Optimizer)}
    assert {name for name, _, _ in MEMBERS} == by_gradient


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_is_of_one_kind(name):
    optimizer = get_optimizer(name, {})
    assert isinstance(optimizer, Optimizer) != isinstance(optimizer, SearchOptimizer)


@every_member
@pytest.mark.parametrize("function", FUNCTIONS)
def test_it_reaches_the_minimum(name, options, pace, function):
    optimizer = get_optimizer(name, options)
    start, minimum = FUNCTIONS[function]
    found, _ = _descend(optimizer, function, start, optimizer.init(start), *pace[function])
    np.testing.assert_allclose(found, minimum, atol=1e-3)


@every_member
def test_update_changes_none_of_its_arguments(name, options, pace):
    optimizer = get_optimizer(name, options)
    theta, gradient = np.array([0.3, -1.0]), np.array([2.0, -0.5])
    _, state = optimizer.update(optimizer.init(theta), theta, gradient, 0.1)
    arrays = [theta, gradient, *state.values()]
    before = [array.tobytes() for array in arrays]
    keys = list(state)
    for array in arrays:
        array.flags.writeable = False
    moved, after = optimizer.update(state, theta, gradient, 0.1)
    assert [array.tobytes() for array in arrays] == before
    assert list(state) == list(after) == keys
    assert (moved != theta).all()


@every_member
def test_a_state_that_went_through_a_file_goes_on_with_the_same_bits(name, options, pace):
    optimizer = get_optimizer(name, options)
    start, _ = FUNCTIONS[PARABOLA]
    rate = pace[PARABOLA][0]
    whole, end = _descend(optimizer, PARABOLA, start, optimizer.init(start), rate, 9)
    theta, state = _descend(optimizer, PARABOLA, start, optimizer.init(start), rate, 4)
    file = io.BytesIO()
    np.savez(file, **state)
    file.seek(0)
    with np.load(file, allow_pickle=False) as archive:
        state = dict(archive)
    theta, state = _descend(optimizer, PARABOLA, theta, state, rate, 5)
    assert theta.tobytes() == whole.tobytes()
    assert {k: v.tobytes() for k, v in state.items()} == {k: v.tobytes() for k, v in end.items()}


@every_member
def test_the_state_has_the_same_names_and_shapes_from_the_start(name, options, pace):
    optimizer = get_optimizer(name, options)
    theta = np.zeros(3)
    first = optimizer.init(theta)
    _, later = _descend(optimizer, PARABOLA, theta, first, 0.01, 3)
    assert {k: v.shape for k, v in first.items()} == {k: v.shape for k, v in later.items()}
    assert all(value.dtype == np.float64 for value in later.values())


@every_member
def test_no_gradient_no_step(name, options, pace):
    optimizer = get_optimizer(name, {**options, "weight_decay": 0.0})
    theta = np.array([0.1, -0.2])
    moved, _ = optimizer.update(optimizer.init(theta), theta, np.zeros(2), 0.5)
    assert moved.tobytes() == theta.tobytes()


@every_member
def test_rate_zero_moves_nothing_but_is_remembered(name, options, pace):
    optimizer = get_optimizer(name, options)
    theta = np.array([0.1, -0.2])
    fresh = optimizer.init(theta)
    moved, state = optimizer.update(fresh, theta, np.ones(2), 0.0)
    assert moved.tobytes() == theta.tobytes()
    assert any((state[key] != fresh[key]).any() for key in state)


@every_member
def test_a_weight_decay_pulls_parameters_towards_zero(name, options, pace):
    theta = np.array([0.4, -0.3])
    optimizer = get_optimizer(name, {**options, "weight_decay": 0.1})
    moved, _ = optimizer.update(optimizer.init(theta), theta, np.zeros(2), 0.01)
    assert (np.abs(moved) < np.abs(theta)).all()

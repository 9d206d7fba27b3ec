"""The laws of an optimizer that steps by gradients, on every one of them."""

from __future__ import annotations

import numpy as np
import pytest

from qstore_ray.learn.optimizers import OPTIMIZERS, Optimizer, SearchOptimizer, get_optimizer
from qstore_ray.testing import OptimizerLaws
from qstore_ray.testing.optimizers import PARABOLA, ROSENBROCK, Pace

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


def test_every_optimizer_that_steps_by_gradients_is_tested():
    by_gradient = {name for name in OPTIMIZERS if isinstance(get_optimizer(name, {}), Optimizer)}
    assert {name for name, _, _ in MEMBERS} == by_gradient


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_is_of_one_kind(name):
    optimizer = get_optimizer(name, {})
    assert isinstance(optimizer, Optimizer) != isinstance(optimizer, SearchOptimizer)


class TestEveryOptimizer(OptimizerLaws):
    @pytest.fixture(params=MEMBERS, ids=[f"{n} {o}" for n, o, _ in MEMBERS])
    def member(self, request: pytest.FixtureRequest):
        return request.param

    @pytest.fixture
    def optimizer(self, member) -> Optimizer:
        return get_optimizer(*member[:2])

    @pytest.fixture
    def pace(self, member) -> Pace:
        return member[2]

    def test_a_step_of_rate_zero_is_remembered(self, optimizer):
        theta = np.array([0.1, -0.2])
        fresh = optimizer.init(theta)
        _, state = optimizer.update(fresh, theta, np.ones(2), 0.0)
        assert any((state[key] != fresh[key]).any() for key in state)

    def test_a_weight_decay_pulls_parameters_towards_zero(self, member):
        name, options, _ = member
        theta = np.array([0.4, -0.3])
        optimizer = get_optimizer(name, {**options, "weight_decay": 0.1})
        moved, _ = optimizer.update(optimizer.init(theta), theta, np.zeros(2), 0.01)
        assert (np.abs(moved) < np.abs(theta)).all()

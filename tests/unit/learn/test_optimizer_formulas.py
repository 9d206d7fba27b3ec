"""Optimizers against PyTorch's, and their first steps against the formulas on paper."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from qstore_ray.errors import ConfigError, UnknownNameError
from qstore_ray.learn.optimizers import OPTIMIZERS, get_optimizer

GOLDEN = json.loads(
    (Path(__file__).parents[2] / "golden" / "optimizers.json").read_text(encoding="utf-8")
)


@pytest.mark.parametrize(
    "case", GOLDEN["cases"], ids=[f"{c['optimizer']} {c['options']}" for c in GOLDEN["cases"]]
)
def test_it_steps_as_pytorch_does(case):
    optimizer = get_optimizer(case["optimizer"], case["options"])
    theta = np.array(GOLDEN["start"])
    state = optimizer.init(theta)
    for gradient, expected in zip(GOLDEN["gradients"], case["theta"], strict=True):
        theta, state = optimizer.update(state, theta, np.array(gradient), case["learning_rate"])
        np.testing.assert_allclose(theta, expected, rtol=1e-13)


def test_sgd_is_the_textbook_formula():
    theta, gradient = np.array([1.0, 2.0]), np.array([0.5, -1.0])
    sgd = get_optimizer("sgd", {"momentum": 0.5})
    one, state = sgd.update(sgd.init(theta), theta, gradient, 0.1)
    np.testing.assert_allclose(one, [0.95, 2.1], rtol=1e-15)
    two, _ = sgd.update(state, one, gradient, 0.1)
    np.testing.assert_allclose(two, [0.95 - 0.075, 2.1 + 0.15], rtol=1e-15)


def test_the_first_step_of_adam_has_the_size_of_the_rate():
    theta, gradient = np.zeros(3), np.array([1e-3, -7.0, 40.0])
    adam = get_optimizer("adam", {})
    moved, _ = adam.update(adam.init(theta), theta, gradient, 0.02)
    np.testing.assert_allclose(moved, -0.02 * np.sign(gradient), rtol=1e-4)


def test_adam_without_memory_steps_by_the_sign():
    adam = get_optimizer("adam", {"beta1": 0.0, "beta2": 0.0, "epsilon": 1e-300})
    theta, state = np.zeros(2), adam.init(np.zeros(2))
    for gradient in ([3.0, -1.0], [-5.0, 0.2]):
        before = theta
        theta, state = adam.update(state, theta, np.array(gradient), 0.1)
        np.testing.assert_allclose(theta - before, -0.1 * np.sign(gradient), rtol=1e-12)


def test_nesterov_is_the_gradient_and_what_the_momentum_will_add():
    theta, gradient = np.array([1.0, 2.0]), np.array([0.5, -1.0])
    sgd = get_optimizer("sgd", {"momentum": 0.5, "nesterov": True})
    one, state = sgd.update(sgd.init(theta), theta, gradient, 0.1)
    np.testing.assert_allclose(one, theta - 0.1 * 1.5 * gradient, rtol=1e-15)
    two, _ = sgd.update(state, one, gradient, 0.1)
    np.testing.assert_allclose(two, one - 0.1 * (1.0 + 0.5 * 1.5) * gradient, rtol=1e-15)


def test_adamw_shrinks_by_the_rate_times_the_decay_whatever_the_gradient():
    theta = np.array([2.0, -3.0])
    adamw = get_optimizer("adamw", {"weight_decay": 0.1})
    still, _ = adamw.update(adamw.init(theta), theta, np.zeros(2), 0.5)
    np.testing.assert_allclose(still, 0.95 * theta, rtol=1e-15)
    for size in (1e-3, 1e3):
        moved, _ = adamw.update(adamw.init(theta), theta, np.full(2, size), 0.5)
        np.testing.assert_allclose(moved, 0.95 * theta - 0.5, rtol=1e-4)


def test_adam_and_adamw_without_decay_are_one():
    theta, gradient = np.array([2.0, -3.0]), np.array([0.1, 7.0])
    moved = [
        optimizer.update(optimizer.init(theta), theta, gradient, 0.5)[0].tobytes()
        for optimizer in (get_optimizer("adam", {}), get_optimizer("adamw", {"weight_decay": 0.0}))
    ]
    assert moved[0] == moved[1]


def test_the_first_step_of_rmsprop_and_adagrad_is_by_the_sign():
    theta, gradient = np.zeros(3), np.array([1e-3, -7.0, 40.0])
    for name, options, size in (
        ("rmsprop", {"alpha": 0.75}, 0.02 / np.sqrt(0.25)),
        ("rmsprop", {"alpha": 0.75, "centered": True}, 0.02 / np.sqrt(0.25 - 0.25**2)),
        ("adagrad", {}, 0.02),
    ):
        optimizer = get_optimizer(name, options)
        moved, _ = optimizer.update(optimizer.init(theta), theta, gradient, 0.02)
        np.testing.assert_allclose(moved, -size * np.sign(gradient), rtol=1e-4)


def test_centered_rmsprop_outlives_a_gradient_that_never_changes():
    """v − ḡ² tends to 0 from above; rounding must not make it negative, whose root is NaN."""
    optimizer = get_optimizer("rmsprop", {"centered": True, "alpha": 0.5})
    theta, state = np.zeros(1), optimizer.init(np.zeros(1))
    for _ in range(200):
        theta, state = optimizer.update(state, theta, np.array([0.1]), 1e-9)
    assert np.isfinite(theta).all()


@pytest.mark.parametrize(
    ("name", "options", "field", "value"),
    [
        ("adam", {"momentum": 0.9}, "optimizer_options.momentum", 0.9),
        ("adam", {"beta1": 1.0}, "optimizer_options.beta1", 1.0),
        ("adamw", {"weight_decay": -0.1}, "optimizer_options.weight_decay", -0.1),
        ("sgd", {"momentum": -0.1}, "optimizer_options.momentum", -0.1),
        ("sgd", {"nesterov": True}, "optimizer_options.momentum", 0.0),
        ("rmsprop", {"alpha": 1.0}, "optimizer_options.alpha", 1.0),
        ("adagrad", {"lr_decay": -1.0}, "optimizer_options.lr_decay", -1.0),
        ("spsa", {"perturbation": 0.0}, "optimizer_options.perturbation", 0.0),
        ("spsa", {"directions": 0}, "optimizer_options.directions", 0),
        ("qn_spsa", {"regularization": 0.0}, "optimizer_options.regularization", 0.0),
        ("qng", {"approximation": "block"}, "optimizer_options.approximation", "block"),
        ("rotosolve", {"frequency": 2.0}, "optimizer_options.frequency", 2.0),
        ("gcans", {"min_rows": 1}, "optimizer_options.min_rows", 1),
        ("gcans", {"rule": "icans"}, "optimizer_options.rule", "icans"),
    ],
)
def test_a_wrong_option_is_refused(name, options, field, value):
    with pytest.raises(ConfigError) as caught:
        get_optimizer(name, options)
    assert (caught.value.field, caught.value.value) == (field, value)
    assert caught.value.fix


@pytest.mark.parametrize(("typed", "meant"), [("adm", "adam"), ("qnspsa", "qn_spsa")])
def test_an_unknown_name_is_refused_with_the_nearest_one(typed, meant):
    with pytest.raises(UnknownNameError) as caught:
        get_optimizer(typed, {})
    assert caught.value.field == "optimizer"
    assert caught.value.value == typed
    assert f"Did you mean {meant!r}?" in caught.value.fix
    assert all(name in caught.value.fix for name in OPTIMIZERS)

"""Search optimizers step by step: what they ask for, and the formulas of their papers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qstore_ray.errors import ConfigError
from qstore_ray.learn.optimizers import get_optimizer
from tests.search_problems import Analytic

MINIMUM = np.array([1.0, -2.0, 0.5])
PARABOLA = Analytic(
    lambda theta: 0.5 * float(((theta - MINIMUM) ** 2).sum()), lambda theta: theta - MINIMUM
)


def _fresh(**changes) -> Analytic:
    return replace(PARABOLA, asked=[], **changes)


def _first_step(name: str, options: dict, problem: Analytic, rate: float, theta=None):
    optimizer = get_optimizer(name, options)
    theta = np.zeros(3) if theta is None else theta
    return optimizer.search(optimizer.init(theta), theta, problem, rate)


# -------------------------------------------------------------------------------------- SPSA


def test_spsa_moves_every_parameter_by_gain_times_slope():
    problem = _fresh()
    options = {"perturbation": 0.2, "stability": 3.0, "alpha": 0.5}
    moved, state = _first_step("spsa", options, problem, 0.1)
    assert problem.asked == [("values", 2)]
    signs = -np.sign(moved) * np.sign(moved[0])  # the direction, up to its sign
    slope = (PARABOLA.function(0.2 * signs) - PARABOLA.function(-0.2 * signs)) / 0.4
    np.testing.assert_allclose(moved, -0.1 / np.sqrt(4.0) * slope * signs, rtol=1e-12)
    assert state["k"].tolist() == [1.0]


def test_the_gains_of_spsa_shrink_as_spall_says():
    optimizer = get_optimizer("spsa", {"stability": 9.0, "perturbation": 1e-3})
    state = optimizer.init(np.zeros(3))
    lengths = []
    for k in (0.0, 90.0):  # the same key, so the same direction and slope
        state = {**state, "k": np.full(1, k)}
        moved, _ = optimizer.search(state, np.zeros(3), _fresh(), 0.1)
        lengths.append(np.abs(moved))
    np.testing.assert_allclose(lengths[0] / lengths[1], 10.0**0.602, rtol=1e-9)


def test_spsa_calibrates_by_the_first_slope_if_the_loss_was_flat():
    """Without another value: what a step asks for does not depend on the values."""
    options = {"calibration": 3}
    flat = Analytic(lambda theta: 1.0, np.zeros_like, asked=[])
    moved, state = _first_step("spsa", options, flat, 0.1)
    assert moved.tolist() == [0.0] * 3
    assert flat.asked == [("values", 6), ("values", 2)]
    problem = _fresh(key=(0, 1))
    optimizer = get_optimizer("spsa", options)
    moved, state = optimizer.search(state, moved, problem, 0.1)
    assert problem.asked == [("values", 2)]
    np.testing.assert_allclose(np.abs(moved), 0.1 / 2.0**0.602, rtol=1e-12)
    assert state["factor"][0] > 0.0


def test_the_mean_over_many_directions_is_the_gradient():
    moved, _ = _first_step("spsa", {"directions": 4000}, _fresh(), 1.0)
    np.testing.assert_allclose(-moved, PARABOLA.gradient(np.zeros(3)), atol=0.1)


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_a_calibrated_first_step_has_the_size_of_the_rate_whatever_the_loss(scale):
    steep = _fresh(function=lambda theta: scale * PARABOLA.function(theta))
    options = {"calibration": 200, "directions": 1, "stability": 20.0}
    sizes = []
    for step in range(200):
        moved, state = _first_step("spsa", options, replace(steep, key=(0, step)), 0.05)
        sizes.append(np.abs(moved).mean())
    np.testing.assert_allclose(np.mean(sizes), 0.05, rtol=0.1)
    assert state["factor"][0] > 0.0


def test_on_a_flat_loss_calibration_waits():
    flat = _fresh(function=lambda theta: 1.0)
    moved, state = _first_step("spsa", {"calibration": 3}, flat, 0.05)
    assert moved.tolist() == [0.0, 0.0, 0.0]
    assert state["factor"].tolist() == [0.0]


@pytest.mark.parametrize(("allowed", "stays"), [(0.0, True), (1e6, False)])
@pytest.mark.parametrize("name", ["spsa", "qn_spsa"])
def test_blocking_refuses_a_step_that_rises(name, allowed, stays):
    options = {"blocking": True, "allowed_increase": allowed}
    start = MINIMUM + 0.1
    moved, state = _first_step(name, options, _fresh(), 100.0, start)  # far too long a step
    assert (moved.tobytes() == start.tobytes()) is stays
    assert state["k"].tolist() == [1.0]


# ------------------------------------------------------------------------------------- gCANS


def _noisy(noise: float, n_rows: int = 100) -> Analytic:
    return _fresh(noise=noise, n_rows=n_rows)


def test_gcans_asks_for_the_rows_that_the_formula_gives():
    problem = _noisy(0.5)
    rate, lipschitz = 0.3, 2.0
    slope = problem.slope(np.zeros(3), 20)
    options = {"min_rows": 20, "lipschitz": lipschitz, "bias": 1e-6}
    moved, state = _first_step("gcans", options, problem, rate)
    np.testing.assert_allclose(moved, -rate * slope.gradient, rtol=1e-15)
    factor = 2 * lipschitz * rate / (2 - lipschitz * rate)
    wanted = factor * slope.variance.sum() / ((slope.gradient**2).sum() + 1e-6)
    assert state["rows"].tolist() == [max(20.0, np.ceil(wanted))]


def test_icans_takes_the_rows_of_the_component_with_the_best_gain():
    """Far from the minimum in one component, near it in the others: the far one decides."""
    optimizer = get_optimizer("gcans", {"rule": "individual", "min_rows": 2, "lipschitz": 1.0})
    square, variance = np.array([4.0, 1e-4]), np.array([90.0, 50.0])
    bend, floor = 0.5, np.zeros(1)
    found = optimizer._rows(square, variance, floor, 0.5)
    rows = np.ceil(2 * bend / (2 - bend) * variance / square)
    gain = ((0.5 - 0.5 * 0.25) * square - 0.5 * 0.25 * variance / rows) / rows
    assert rows.tolist() == [15.0, 333334.0]
    assert found.tolist() == [rows[np.argmax(gain)]] == [15.0]


def test_icans_counts_what_the_bend_of_the_loss_costs():
    """Gain a row (1 − b/2) g² / s − b σ² / 2s² of s = 2, 1 rows: 1.125 and 0.95, then 1.05."""
    optimizer = get_optimizer("gcans", {"rule": "individual", "min_rows": 2, "lipschitz": 1.0})
    square, variance = np.array([3.5, 1.6]), np.array([6.0, 1.0])
    assert optimizer._rows(square, variance, np.zeros(1), 0.5).tolist() == [1.0]


@pytest.mark.parametrize("rule", ["global", "individual"])
def test_gcans_begins_with_few_rows_and_ends_with_the_whole_batch(rule):
    optimizer = get_optimizer("gcans", {"rule": rule, "min_rows": 4, "decay": 0.9})
    theta, state = np.zeros(3), optimizer.init(np.zeros(3))
    asked = []
    for step in range(150):
        problem = replace(_noisy(0.3), key=(0, step))
        theta, state = optimizer.search(state, theta, problem, 0.2)
        asked.append(problem.asked[0][1])
    assert asked[0] == 4
    assert max(asked) == asked[-1] == 100
    assert sum(asked) < 0.9 * 150 * 100
    np.testing.assert_allclose(theta, MINIMUM, atol=1e-3)


@pytest.mark.parametrize("rule", ["global", "individual"])
def test_without_noise_the_fewest_rows_are_enough(rule):
    _, state = _first_step("gcans", {"rule": rule, "min_rows": 4}, _noisy(0.0), 0.2)
    assert state["rows"].tolist() == [4.0]
    at_minimum, state = _first_step("gcans", {"rule": rule}, _noisy(0.0), 0.2, MINIMUM)
    assert at_minimum.tolist() == MINIMUM.tolist()
    assert state["rows"].tolist() == [32.0]


def test_a_batch_of_one_row_is_stepped_on_but_teaches_no_variance():
    optimizer = get_optimizer("gcans", {})
    before = optimizer.init(np.zeros(3))
    moved, after = optimizer.search(before, np.zeros(3), _noisy(0.0, n_rows=1), 0.1)
    np.testing.assert_allclose(moved, 0.1 * MINIMUM, rtol=1e-15)
    assert all(after[name].tolist() == before[name].tolist() for name in before)


def test_a_rate_at_which_no_number_of_rows_gains_is_refused():
    with pytest.raises(ConfigError) as caught:
        _first_step("gcans", {"lipschitz": 4.0}, _fresh(), 0.5)
    assert caught.value.field == "optimizer_options.lipschitz"
    assert caught.value.value == 4.0
    assert "learning rate below 0.5" in caught.value.fix


# --------------------------------------------------------------------------------------- QNG


@pytest.mark.parametrize(
    ("approximation", "kept"),
    [
        ("full", [[1, 1, 1], [1, 1, 1], [1, 1, 1]]),
        ("block_diagonal", [[1, 1, 0], [1, 1, 0], [0, 0, 1]]),
        ("diagonal", np.eye(3)),
    ],
)
def test_qng_keeps_of_the_metric_what_it_is_told(approximation, kept):
    metric = np.array([[2.0, 0.5, 0.3], [0.5, 1.0, 0.2], [0.3, 0.2, 0.7]])

    class Coupled(Analytic):
        def metric(self, theta):
            return metric

    problem = Coupled(PARABOLA.function, PARABOLA.gradient, n_circuit=3)
    options = {"approximation": approximation, "regularization": 0.1}
    moved, state = _first_step("qng", options, problem, 0.2)
    expected = np.linalg.solve(metric * kept + 0.1 * np.eye(3), MINIMUM)
    np.testing.assert_allclose(moved, 0.2 * expected, rtol=1e-12)
    assert state == {}

"""The laws of an optimizer that asks for the function itself, on every one of them."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest

from qstore_ray.learn.optimizers import OPTIMIZERS, SearchOptimizer, get_optimizer
from tests.search_problems import Analytic

PARABOLA, ROSENBROCK = "parabola", "rosenbrock"

# (optimizer, options, learning rate and steps on each function, how near it comes)
MEMBERS = [
    ("gcans", {"lipschitz": 5.0}, {PARABOLA: (0.2, 300), ROSENBROCK: (0.008, 4000)}, 1e-3),
    (
        "gcans",
        {"rule": "individual", "lipschitz": 5.0, "decay": 0.9},
        {PARABOLA: (0.2, 300), ROSENBROCK: (0.008, 4000)},
        1e-3,
    ),
    ("qn_spsa", {}, {PARABOLA: (0.1, 1000), ROSENBROCK: (0.01, 5000)}, 0.05),
    (
        "qn_spsa",
        {"directions": 4, "blocking": False},
        {PARABOLA: (0.1, 500), ROSENBROCK: (0.01, 2500)},
        0.05,
    ),
    ("qng", {}, {PARABOLA: (0.2, 400), ROSENBROCK: (0.008, 4000)}, 1e-3),
    (
        "qng",
        {"approximation": "diagonal", "regularization": 1.0},
        {PARABOLA: (0.2, 400), ROSENBROCK: (0.016, 4000)},
        1e-3,
    ),
    (
        "qng",
        {"approximation": "block_diagonal"},
        {PARABOLA: (0.2, 400), ROSENBROCK: (0.008, 4000)},
        1e-3,
    ),
    ("rotosolve", {}, {PARABOLA: (0.2, 60)}, 1e-3),  # Rosenbrock's is no function of angles
    (
        "spsa",
        {"stability": 500.0},
        {PARABOLA: (0.3, 2000), ROSENBROCK: (0.3, 8000)},
        0.05,
    ),
    (
        "spsa",
        {"calibration": 10, "stability": 500.0, "directions": 4, "blocking": True},
        {PARABOLA: (0.1, 500), ROSENBROCK: (0.1, 6000)},
        0.05,
    ),
    (
        "spsa",
        {"alpha": 0.0, "gamma": 0.0, "perturbation": 0.01},
        {PARABOLA: (0.02, 1000), ROSENBROCK: (0.003, 10000)},
        0.05,
    ),
]
MINIMUM = {PARABOLA: np.array([1.0, -2.0, 0.5]), ROSENBROCK: np.ones(2)}
START = {PARABOLA: np.zeros(3), ROSENBROCK: np.array([-0.5, 1.0])}
CURVATURE = np.array([1.0, 3.0, 5.0])
every_member = pytest.mark.parametrize(
    ("name", "options", "pace", "near"), MEMBERS, ids=[f"{n} {o}" for n, o, _, _ in MEMBERS]
)


def _rosenbrock(theta: np.ndarray) -> float:
    x, y = theta
    return (x - 1.0) ** 2 + 10.0 * (y - x * x) ** 2


def _rosenbrock_gradient(theta: np.ndarray) -> np.ndarray:
    x, y = theta
    return np.array([2.0 * (x - 1.0) - 40.0 * x * (y - x * x), 20.0 * (y - x * x)])


# The third number of the parabola is classical, both of Rosenbrock's are the circuit's.
PROBLEMS = {
    PARABOLA: Analytic(
        lambda theta: 0.5 * float((CURVATURE * (theta - MINIMUM[PARABOLA]) ** 2).sum()),
        lambda theta: CURVATURE * (theta - MINIMUM[PARABOLA]),
        noise=0.1,
    ),
    ROSENBROCK: Analytic(_rosenbrock, _rosenbrock_gradient),
}


def _search(optimizer, function: str, theta, state, rate: float, steps: range, seed: int = 0):
    for step in steps:
        problem = replace(PROBLEMS[function], key=(seed, step), asked=[])
        theta, state = optimizer.search(state, theta, problem, rate)
    return theta, state


def _start(optimizer, function: str = PARABOLA):
    return START[function], optimizer.init(START[function])


def test_every_optimizer_that_searches_is_tested():
    searching = {
        name for name in OPTIMIZERS if isinstance(get_optimizer(name, {}), SearchOptimizer)
    }
    assert {name for name, *_ in MEMBERS} == searching


@pytest.mark.parametrize(
    ("name", "options", "function", "rate", "steps", "near"),
    [(n, o, f, *pace[f], near) for n, o, pace, near in MEMBERS for f in pace],
)
def test_it_reaches_the_minimum(name, options, function, rate, steps, near):
    optimizer = get_optimizer(name, options)
    found, _ = _search(optimizer, function, *_start(optimizer, function), rate, range(steps))
    np.testing.assert_allclose(found, MINIMUM[function], atol=near)


@every_member
def test_search_changes_none_of_its_arguments(name, options, pace, near):
    optimizer = get_optimizer(name, options)
    theta, state = _search(optimizer, PARABOLA, *_start(optimizer), 0.1, range(2))
    arrays = [theta, *state.values()]
    before, keys = [array.tobytes() for array in arrays], list(state)
    for array in arrays:
        array.flags.writeable = False
    problem = replace(PROBLEMS[PARABOLA], key=(0, 2), asked=[])
    _, after = optimizer.search(state, theta, problem, 0.1)
    assert [array.tobytes() for array in arrays] == before
    assert list(state) == list(after) == keys


@every_member
def test_a_state_that_went_through_a_file_goes_on_with_the_same_bits(name, options, pace, near):
    optimizer = get_optimizer(name, options)
    whole, end = _search(optimizer, PARABOLA, *_start(optimizer), 0.05, range(9))
    theta, state = _search(optimizer, PARABOLA, *_start(optimizer), 0.05, range(4))
    file = io.BytesIO()
    np.savez(file, **state)
    file.seek(0)
    with np.load(file, allow_pickle=False) as archive:
        state = dict(archive)
    theta, state = _search(optimizer, PARABOLA, theta, state, 0.05, range(4, 9))
    assert theta.tobytes() == whole.tobytes()
    assert {k: v.tobytes() for k, v in state.items()} == {k: v.tobytes() for k, v in end.items()}


@every_member
def test_two_workers_ask_the_same_and_end_with_the_same_bits(name, options, pace, near):
    ends, asked = [], []
    for _ in range(2):
        optimizer = get_optimizer(name, options)
        theta, state = _start(optimizer)
        problem = replace(PROBLEMS[PARABOLA], key=(3, 4), asked=[])
        theta, _ = optimizer.search(state, theta, problem, 0.05)
        ends.append(theta.tobytes())
        asked.append(problem.asked)
    assert ends[0] == ends[1]
    assert asked[0] == asked[1] != []


@every_member
def test_the_state_has_the_same_names_and_shapes_from_the_start(name, options, pace, near):
    optimizer = get_optimizer(name, options)
    theta, first = _start(optimizer)
    _, later = _search(optimizer, PARABOLA, theta, first, 0.01, range(3))
    assert {k: v.shape for k, v in first.items()} == {k: v.shape for k, v in later.items()}
    assert all(value.dtype == np.float64 for value in (*first.values(), *later.values()))


@every_member
def test_it_moves_circuit_and_classical_parameters(name, options, pace, near):
    optimizer = get_optimizer(name, options)
    theta, state = _start(optimizer)
    moved, _ = _search(optimizer, PARABOLA, theta, state, 0.01, range(3))
    assert (moved != theta).all()


@pytest.mark.parametrize("name", ["spsa", "qn_spsa"])
def test_another_seed_or_step_draws_other_directions(name):
    optimizer = get_optimizer(name, {"blocking": False})
    ends = {
        _search(optimizer, PARABOLA, *_start(optimizer), 0.05, steps, seed=seed)[0].tobytes()
        for seed, steps in ((0, range(5)), (1, range(5)), (0, range(5, 10)))
    }
    assert len(ends) == 3


@every_member
@pytest.mark.parametrize("function", PROBLEMS)
def test_at_the_minimum_it_stays(name, options, pace, near, function):
    optimizer = get_optimizer(name, options)
    start = MINIMUM[function]
    problem = replace(PROBLEMS[function], noise=0.0, asked=[])
    moved, _ = optimizer.search(optimizer.init(start), start, problem, 0.01)
    np.testing.assert_allclose(moved, start, atol=0.02)

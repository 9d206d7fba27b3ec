"""Optimizers that know of circuits, on circuits whose answer is known."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from qstore_ray.circuits.observable import Observable, PauliTerm
from qstore_ray.circuits.template import Op, Template, param
from qstore_ray.learn.optimizers import Optimizer, get_optimizer
from tests.search_problems import Energy

ISING = Observable.parse("- Z0 Z1 - Z1 Z2 - 0.5*X0 - 0.5*X1 - 0.5*X2")
GROUND = -2.4032119259  # of ISING, the lowest eigenvalue of its 8 × 8 matrix


def _layers(n_layers: int) -> Template:
    """RY on each of 3 qubits and a chain of CX, and RY at the end: real states only."""
    turns = Template(3, tuple(Op("ry", (q,), (param(q),)) for q in range(3)), n_params=3)
    chain = Template(3, (Op("cx", (0, 1)), Op("cx", (1, 2))))
    whole = turns
    for _ in range(n_layers):
        whole = whole.then(chain).then(turns)
    return whole


ENERGY = Energy(_layers(2), ISING)
START = np.random.default_rng(0).normal(size=9, scale=0.3)


def _steps(problem: Energy, name: str, options: dict, rate: float, start, target, most: int) -> int:
    """How many steps until the value is below the target; `most` if it never is."""
    optimizer = get_optimizer(name, options)
    theta, state = start, optimizer.init(start)
    for step in range(most):
        if problem.values(theta[None])[0] < target:
            return step
        if isinstance(optimizer, Optimizer):
            gradient = problem.slope(theta).gradient
            theta, state = optimizer.update(state, theta, gradient, rate)
        else:
            keyed = replace(problem, key=(0, step))
            theta, state = optimizer.search(state, theta, keyed, rate)
    return most


# ---------------------------------------------------------------------------------- Rotosolve


@pytest.mark.parametrize("start", [0.0, 1.0, -2.5, 40.0])
@pytest.mark.parametrize(("x", "z"), [(0.8, 0.6), (-1.0, 0.3), (0.1, -2.0)])
def test_one_sweep_finds_the_ground_state_of_a_qubit(start, x, z):
    """⟨ψ|xX + zZ|ψ⟩ over RY(θ)|0⟩ is x sin θ + z cos θ, and at its lowest −√(x² + z²)."""
    template = Template(1, (Op("ry", (0,), (param(0),)),), n_params=1)
    terms = (PauliTerm(x=1, z=0, coefficient=x), PauliTerm(x=0, z=1, coefficient=z))
    problem = Energy(template, Observable(terms))
    rotosolve = get_optimizer("rotosolve", {})
    found, _ = rotosolve.search({}, np.array([start]), problem, 0.0)
    np.testing.assert_allclose(problem.values(found[None]), -np.hypot(x, z), rtol=1e-14)
    assert abs(found[0] - start) <= np.pi + 1e-12


def test_sweeps_never_rise_and_reach_the_ground_state_of_three_qubits():
    rotosolve = get_optimizer("rotosolve", {})
    theta, energies = START, []
    for _ in range(40):
        energies.append(float(ENERGY.values(theta[None])[0]))
        theta, _ = rotosolve.search({}, theta, ENERGY, 0.1)
    assert all(after <= before for before, after in pairwise(energies))
    assert energies[-1] < GROUND + 1e-3


@pytest.mark.parametrize("scale", [0.5, 2.0, -3.0])
def test_where_the_formula_is_not_exact_a_sweep_still_never_rises(scale):
    ops = (Op("ry", (0,), (param(0, scale),)), Op("ry", (0,), (param(1),)))
    ops += (Op("crx", (0, 1), (param(1),)),)
    problem = Energy(Template(2, ops, n_params=2), Observable.parse("Z0 + 0.7*X1 Y0"))
    rotosolve = get_optimizer("rotosolve", {})
    theta = np.array([0.3, -1.1])
    values = [float(problem.values(theta[None])[0])]
    for _ in range(5):
        theta, _ = rotosolve.search({}, theta, problem, 0.1)
        values.append(float(problem.values(theta[None])[0]))
    assert all(after <= before for before, after in pairwise(values))


def test_a_parameter_that_does_nothing_is_left_alone():
    ops = (Op("rz", (0,), (param(0),)), Op("ry", (0,), (param(1),)))
    problem = Energy(Template(1, ops, n_params=2), Observable.parse("Z0"))
    found, _ = get_optimizer("rotosolve", {}).search({}, np.array([0.4, 0.5]), problem, 0.1)
    assert found[0] == 0.4
    np.testing.assert_allclose(np.cos(found[1]), -1.0, rtol=1e-14)


# ---------------------------------------------------------------------------------------- QNG


def _scaled(scale: float) -> Energy:
    """ENERGY's circuit with every angle `scale` times its parameter."""
    ops = tuple(
        op._replace(angles=tuple(angle.scaled(scale) for angle in op.angles))
        for op in ENERGY.template.ops
    )
    return Energy(Template(3, ops, n_params=9), ISING)


@pytest.mark.parametrize("approximation", ["full", "block_diagonal", "diagonal"])
def test_the_natural_step_does_not_depend_on_how_angles_are_written(approximation):
    """θ → 2θ: the angles move by the same; by plain descent they move four times as far."""
    options = {"approximation": approximation, "regularization": 1e-10}
    natural, plain = get_optimizer("qng", options), get_optimizer("sgd", {})
    step, _ = natural.search({}, START, ENERGY, 0.05)
    halves, _ = natural.search({}, START / 2, _scaled(2.0), 0.05)
    np.testing.assert_allclose(2 * halves - START, step - START, atol=2e-6)
    slopes = [ENERGY.slope(START).gradient, 2 * _scaled(2.0).slope(START / 2).gradient]
    steps = [plain.update(plain.init(START), START, slope, 0.05)[0] - START for slope in slopes]
    np.testing.assert_allclose(steps[1], 4 * steps[0], rtol=1e-12)


def test_qng_needs_fewer_steps_where_one_angle_turns_slowly():
    """Two angles, one of scale 1 and one of 0.2: curvatures 25 to 1 for plain descent.

    Down to 1e-3 above the minimum −2: 7 natural steps at a rate of 0.2; 21 plain ones at the best
    of the rates tried, 0.9, and none of them arrives at 1.2.
    """
    ops = (Op("ry", (0,), (param(0),)), Op("cx", (0, 1)), Op("ry", (1,), (param(1, 0.2),)))
    problem = Energy(Template(2, ops, n_params=2), Observable.parse("Z0 + Z1"))
    start, target = np.array([0.4, 0.4]), -2.0 + 1e-3
    natural = _steps(problem, "qng", {}, 0.2, start, target, 100)
    plain = min(
        _steps(problem, "sgd", {}, r, start, target, 200) for r in (0.1, 0.3, 0.5, 0.7, 0.9)
    )
    assert (natural, plain) == (7, 21)


# ------------------------------------------------------------------------------------ QN-SPSA


def test_the_sampled_metric_is_the_metric_in_the_mean():
    theta = START[:4]
    ops = (*ENERGY.template.ops[:3], Op("rxx", (0, 1), (param(3),)))
    problem = Energy(Template(3, ops, n_params=4), ISING)
    optimizer = get_optimizer("qn_spsa", {"directions": 400})
    pairs = optimizer._pairs(problem)
    seen = problem.fidelities(theta, optimizer._moved(theta, pairs))
    sample = optimizer._sample(seen, pairs)
    exact = problem.metric(theta)
    np.testing.assert_allclose(sample, exact, atol=0.06)


# ---------------------------------------------------------------------------------------- all


@pytest.mark.parametrize(
    ("name", "options", "rate", "steps"),
    [
        ("gcans", {}, 0.3, 100),
        ("qn_spsa", {"directions": 4}, 0.1, 200),
        ("qng", {}, 0.1, 100),
        ("qng", {"approximation": "block_diagonal"}, 0.1, 100),
        ("rotosolve", {}, 0.1, 40),
        ("spsa", {"stability": 20.0, "calibration": 10, "directions": 2}, 0.2, 100),
        ("adam", {}, 0.1, 150),
    ],
)
def test_it_reaches_the_ground_state_with_a_classical_parameter_beside(name, options, rate, steps):
    """Nine parameters are the circuit's; the tenth, c, adds (c − 1)² to the energy."""
    start = np.append(START, 0.3)
    assert _steps(ENERGY, name, options, rate, start, GROUND + 0.1, steps) < steps

"""What a history says: curves whose answer is known, and curves of real training."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qstore_ray.backends.statevector import StatevectorBackend
from qstore_ray.errors import ConfigError
from qstore_ray.learn.config import ModelConfig
from qstore_ray.learn.diagnostics.convergence import ConvergenceDetector
from qstore_ray.learn.gradients import get_gradient
from qstore_ray.learn.model import build_model
from qstore_ray.learn.optimizers import get_optimizer
from qstore_ray.learn.step import total, value_and_grad

DETECTOR = ConvergenceDetector()
T = np.arange(200.0)
CURVES = {
    "decay": 0.3 + np.exp(-T / 10),
    "falling": 1.0 - 0.004 * T,
    "alternating": 0.3 + 0.1 * (-1.0) ** T,
    "constant": np.full(50, 0.7),
    "noise": 0.5 + 0.05 * np.random.default_rng(1).normal(size=80),
    "decay and noise": 0.3 + np.exp(-T / 10) + 0.01 * np.random.default_rng(2).normal(size=200),
    "growing": np.r_[np.full(20, 0.05), 0.05 * 1.2 ** T[:15]],
    "short": np.array([1.0, 0.9, 0.8]),
}
every_curve = pytest.mark.parametrize("name", CURVES)


def _kinds(values, detector=DETECTOR, **more):
    return [finding.kind for finding in detector.findings(list(values), **more)]


def test_each_curve_is_called_what_it_is():
    assert {name: _kinds(curve) for name, curve in CURVES.items()} == {
        "decay": ["converged"],
        "falling": [],
        "alternating": ["oscillating"],
        "constant": ["plateau"],
        "noise": ["plateau"],
        "decay and noise": ["plateau"],
        "growing": ["diverging"],
        "short": [],
    }


@every_curve
def test_a_finding_tells_its_number_and_what_it_was_compared_with(name):
    for finding in DETECTOR.findings(list(CURVES[name])):
        assert finding.message.startswith(finding.kind)
        assert finding.message.endswith((".", "it."))
        assert math.isfinite(finding.number)
        assert finding.threshold > 0.0
        assert (
            finding.kind not in {"diverging", "oscillating"} or finding.number > finding.threshold
        )
        assert finding.kind != "converged" or finding.number <= finding.threshold


# ------------------------------------------------------------------------------- what it looks like


@every_curve
@settings(max_examples=20)
@given(power=st.integers(-60, 60))
def test_a_loss_in_other_units_gives_the_same_findings(name, power):
    """Multiplying by a power of two is exact, so that even the numbers are the same."""
    found = DETECTOR.findings(list(CURVES[name]))
    scaled = DETECTOR.findings([2.0**power * value for value in CURVES[name]])
    assert [(f.kind, f.number) for f in scaled] == [(f.kind, f.number) for f in found]


@settings(max_examples=100)
@given(values=st.lists(st.floats(0.0, 1e3, width=32), max_size=60), power=st.integers(-30, 30))
def test_whatever_the_curve_its_units_do_not_matter(values, power):
    values = [value if value > 1e-3 else 0.0 for value in values]
    assert _kinds(values) == _kinds([2.0**power * value for value in values])


@every_curve
def test_max_is_the_mirror_of_min(name):
    mirror = ConvergenceDetector(mode="max")
    assert _kinds(-CURVES[name], mirror) == _kinds(CURVES[name])


@every_curve
def test_looking_changes_nothing(name):
    values = list(CURVES[name])
    first = DETECTOR.findings(values)
    assert values == list(CURVES[name])
    assert DETECTOR.findings(values) == first


@pytest.mark.parametrize("tau", [4.0, 10.0, 20.0, 40.0])
@pytest.mark.parametrize("tolerance", [0.01, 0.001])
def test_a_decay_has_converged_where_its_slope_over_the_window_is_the_tolerance(tau, tolerance):
    """Over a window from t − w + 1 to t, e^{−t/τ} changes by e^{−t/τ}·(e^{(w−1)/τ} − 1)."""
    detector, times = ConvergenceDetector(tolerance=tolerance), np.arange(500.0)
    curve = 2.0 + 5.0 * np.exp(-times / tau)
    told = next(n for n in range(10, 500) if _kinds(curve[:n], detector)) - 1
    place = tau * math.log(math.expm1(9 / tau) / tolerance)
    assert abs(told - place) <= 1 + 0.03 * place
    assert _kinds(curve[: told + 1], detector) == ["converged"]


# -------------------------------------------------------------------------------------- divergence


@pytest.mark.parametrize("start", [0.05, 5.0])
@pytest.mark.parametrize("epochs", [3, 5, 10, 30])
def test_growth_to_four_times_the_best_is_told_however_small_the_loss(start, epochs):
    growth = start * 4.0 ** (np.arange(1, epochs + 1) / epochs)
    values = [*np.linspace(1.2 * start, start, 6), *growth, *[growth[-1]] * 2]
    (finding,) = [f for f in DETECTOR.findings(values) if f.kind == "diverging"]
    assert finding.number == pytest.approx(3.0, rel=0.1)
    assert f"{finding.number:.0%}" in finding.message


def test_one_bad_epoch_is_no_divergence():
    values = [*CURVES["decay"][:30], 4.0]
    assert "diverging" not in _kinds(values)
    assert "diverging" in _kinds([*values, 4.0, 4.0])


def test_a_rise_from_next_to_nothing_is_no_divergence():
    assert "diverging" not in _kinds([*10.0 ** -T[:12], *[1e-9] * 5])


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_is_divergence_at_once(value):
    (finding,) = DETECTOR.findings([1.0, value])
    assert finding.kind == "diverging"
    assert f"{value} in epoch 1" in finding.message


# -------------------------------------------------------------------- oscillation, plateau, noise


@pytest.mark.parametrize("period", [2.0, 2.5, 3.0, 4.0, 5.0, 6.5])
def test_an_oscillation_is_found_with_its_period(period):
    noise = 0.01 * np.random.default_rng(0).normal(size=60)
    curve = 0.5 + 0.1 * np.cos(2 * np.pi * T[:60] / period) + noise
    (finding,) = DETECTOR.findings(list(curve))
    assert finding.kind == "oscillating"
    told = float(finding.message.partition("one period, ")[2].partition(" ")[0])
    assert told == pytest.approx(period, rel=0.06)


def test_noise_around_a_constant_is_a_plateau_and_hardly_ever_an_oscillation():
    rng = np.random.default_rng(5)
    kinds = [_kinds(0.5 + 0.05 * rng.normal(size=40)) for _ in range(300)]
    assert kinds.count(["plateau"]) > 275
    assert sum("oscillating" in found for found in kinds) <= 2
    assert sum("diverging" in found for found in kinds) == 0


def test_a_ripple_on_a_curve_that_has_come_down_far_does_not_count():
    ripple = 0.001 * (-1.0) ** T
    assert _kinds(CURVES["decay"] + ripple) == ["converged"]


def test_a_curve_that_hardly_moves_is_a_plateau():
    assert _kinds(1.1 - 1e-8 * T[:30]) == ["plateau"]
    assert _kinds(1.1 - 1e-2 * T[:30]) == []


@pytest.mark.parametrize(
    ("curve", "advice"),
    [
        (CURVES["constant"], "Try another learning rate, other initial parameters, or another"),
        (CURVES["noise"], "Try another learning rate, other initial parameters, or another"),
        (np.r_[np.linspace(1.0, 1.2, 5), np.full(30, 1.2)], "Try another learning rate, other"),
        (CURVES["decay and noise"], "Lower the learning rate."),
    ],
    ids=["constant", "noise", "risen and flat", "fallen and noisy"],
)
def test_a_plateau_says_what_to_try(curve, advice):
    (finding,) = DETECTOR.findings(list(curve))
    assert finding.kind == "plateau"
    assert f"epochs. {advice}" in finding.message


# --------------------------------------------------------------------------------------- gradients


def test_a_flat_curve_with_a_gradient_far_above_its_noise_is_no_minimum():
    decay, noise = list(CURVES["decay"]), [0.01] * 200
    assert _kinds(decay, gradient_norms=[0.012] * 200, gradient_noise=noise) == ["converged"]
    (finding,) = DETECTOR.findings(decay, gradient_norms=[0.2] * 200, gradient_noise=noise)
    assert finding.kind == "plateau"
    assert "20 times its noise" in finding.message


def test_a_gradient_below_its_noise_in_a_run_that_never_fell_is_a_barren_plateau():
    flat, noise = list(CURVES["noise"][:8]), [0.04] * 8
    (finding,) = DETECTOR.findings(
        flat, gradient_norms=[0.01] * 8, gradient_noise=noise, n_qubits=10
    )
    assert finding.kind == "barren_plateau"
    assert (finding.number, finding.threshold) == (0.25, 1.0)
    assert "for 5 epochs the gradient is 0.25 times its own noise" in finding.message
    assert "10 qubits: about 0.031" in finding.message


def test_one_epoch_with_a_gradient_above_its_noise_is_no_barren_plateau():
    norms = [0.01] * 5 + [0.05] + [0.01] * 2
    flat = list(CURVES["noise"][:8])
    assert _kinds(flat, gradient_norms=norms, gradient_noise=[0.04] * 8) == []


def test_a_minimum_is_no_barren_plateau_though_its_gradient_is_below_the_noise_too():
    norms = list(np.exp(-T / 10))
    assert _kinds(CURVES["decay"], gradient_norms=norms, gradient_noise=[0.1] * 200) == [
        "converged"
    ]


# ------------------------------------------------------------------------------------ real training


def _trained(optimizer: str, learning_rate: float, epochs: int) -> list[float]:
    """The losses of a small circuit on iris, all rows in every step."""
    from sklearn.datasets import load_iris

    x, y = load_iris(return_X_y=True)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    model = build_model(ModelConfig(n_qubits=4, layers=1), n_features=4, n_classes=3)
    backend, chosen = StatevectorBackend(), get_optimizer(optimizer, {})
    theta = model.initial(7)
    state, losses = chosen.init(theta), []
    method = get_gradient("adjoint", backend)
    for _ in range(epochs):
        sums = total(value_and_grad(model, theta, x, y, backend, method))
        losses.append(sums.loss / sums.n_rows)
        theta, state = chosen.update(state, theta, sums.gradient / sums.n_rows, learning_rate)
    return losses


def test_real_training_at_a_good_rate_converges_and_not_before():
    losses = _trained("adam", 0.1, 120)
    assert _kinds(losses) == ["converged"]
    first = next(n for n in range(1, 120) if "converged" in _kinds(losses[:n]))
    assert losses[first - 1] - losses[-1] < 0.12 * (losses[0] - losses[-1])
    assert _kinds(losses[:15]) == []


def test_real_training_at_a_tiny_rate_is_stuck():
    assert _kinds(_trained("sgd", 1e-6, 20)) == ["plateau"]


def test_real_training_at_a_far_too_high_rate_never_passes_for_converged():
    losses = _trained("sgd", 6.0, 60)
    found = [_kinds(losses[:n]) for n in range(1, 61)]
    assert all("converged" not in kinds for kinds in found)
    assert any({"diverging", "oscillating", "plateau"} & set(kinds) for kinds in found)


@pytest.mark.parametrize(
    ("field", "value"),
    [("window", 3), ("tolerance", 0.0), ("divergence", -1.0), ("chance", 1.0), ("mode", "auto")],
)
def test_a_wrong_value_is_refused_when_built(field, value):
    with pytest.raises(ConfigError) as caught:
        ConvergenceDetector(**{field: value})
    assert caught.value.field == field
    assert caught.value.value == value

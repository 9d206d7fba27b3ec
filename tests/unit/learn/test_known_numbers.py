"""Metrics, audits, fits and hashes in numbers that are known by hand or by another library."""

from __future__ import annotations

import math

import numpy as np
import pytest

from qstore_ray.backends.keys import DrawKey
from qstore_ray.backends.statevector import StatevectorBackend
from qstore_ray.circuits.observable import Observable
from qstore_ray.errors import ConfigError, DataError, UnknownNameError
from qstore_ray.learn.config import ModelConfig, _has_operators
from qstore_ray.learn.diagnostics.barren import _fit, gradient_variance_against_width
from qstore_ray.learn.diagnostics.convergence import ConvergenceDetector
from qstore_ray.learn.distributed.compression import TopK
from qstore_ray.learn.gradients import get_gradient
from qstore_ray.learn.kernel.alignment import alignment
from qstore_ray.learn.kernel.kernel import FidelityKernel
from qstore_ray.learn.kernel.shots import SampledOverlaps, _hashes, _mixed, named_rows
from qstore_ray.learn.losses import LOSSES, get_loss, probabilities
from qstore_ray.learn.privacy.accountant import step_divergence
from qstore_ray.learn.privacy.audit import (
    Guesses,
    area,
    area_error,
    guesses,
    largest_area,
    spread_chance,
)
from qstore_ray.learn.scoring import METRICS, Answers, Scoring, is_uneven, table_direction

# ----------------------------------------------------------------------------------------- scoring

WEIGHT = np.array([1.0, 2.0, 3.0, 4.0])


def _score(name: str, y, given, weight=None) -> float:
    return METRICS[name].value(np.array(y), np.array(given), weight)


@pytest.mark.parametrize(
    ("name", "y", "given", "plain", "weighted"),
    [
        ("accuracy", [0, 1, 1, 0], [0, 1, 0, 1], 0.5, 0.3),
        ("balanced_accuracy", [0, 0, 1, 1], [0, 1, 0, 1], 0.5, (1 / 3 + 4 / 7) / 2),
        ("mse", [1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 4.0, 6.0], 1.25, 1.9),
        ("mae", [1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 4.0, 6.0], 0.75, 1.1),
        ("rmse", [1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 4.0, 6.0], math.sqrt(1.25), math.sqrt(1.9)),
        ("r2", [1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 4.0, 6.0], 0.0, 1 - 19 / 10),
        ("f1_macro", [0, 0, 1, 1], [0, 0, 1, 0], (0.8 + 2 / 3) / 2, (0.6 + 0.6) / 2),
    ],
)
def test_a_metric_with_and_without_weights(name, y, given, plain, weighted):
    assert _score(name, y, given) == pytest.approx(plain, rel=1e-12)
    assert _score(name, y, given, WEIGHT) == pytest.approx(weighted, rel=1e-12)
    assert _score(name, y, given, np.ones(4)) == pytest.approx(plain, rel=1e-12)


def test_the_log_loss_of_labels_is_the_mean_over_labels_also_where_all_rows_have_one():
    y = np.array([[1, 0], [1, 1]])
    chances = np.array([[0.5, 0.25], [0.25, 0.5]])
    first = -(math.log(0.5) + math.log(0.25)) / 2
    second = -(math.log(0.75) + math.log(0.5)) / 2
    assert _score("log_loss", y, chances) == pytest.approx((first + second) / 2)
    weighted = -(math.log(0.5) + 3 * math.log(0.25)) / 4 - (math.log(0.75) + 3 * math.log(0.5)) / 4
    assert _score("log_loss", y, chances, np.array([1.0, 3.0])) == pytest.approx(weighted / 2)
    hamming = _score("hamming", y, np.array([[1, 1], [1, 1]]), np.array([1.0, 3.0]))
    assert hamming == pytest.approx(1 - 0.5 * 1 / 4)


@pytest.mark.parametrize(
    ("name", "y", "why"),
    [
        ("r2", [1.0], "it takes two rows"),
        ("r2", [2.0, 2.0], "all rows have the same target"),
        ("r2", [[1.0, 2.0], [1.0, 3.0]], "all rows have the same target"),
        ("r2", [1.0, 2.0], ""),
        ("balanced_accuracy", [1, 1], "all rows are of one class"),
        ("roc_auc", [0, 0], "every row is of class a"),
        ("roc_auc", [1, 1], "no row is of class a"),
        ("roc_auc", [0, 1], ""),
        ("recall_b", [0, 0], "no row is of class b"),
        ("accuracy", [0, 0], ""),
    ],
)
def test_why_rows_do_not_define_a_metric(name, y, why):
    goal = "regression" if name == "r2" else "classification"
    scoring = Scoring(goal, () if name == "r2" else ("a", "b"))
    assert scoring.undefined(name, np.array(y)) == why


def test_answers_that_are_missing_or_not_finite_give_reasons():
    scoring = Scoring("classification", ("a", "b"))
    y = np.array([0, 1])
    found = scoring.scores(y, Answers(np.array([0, 1]), np.array([0.0, np.nan])), None)
    assert found.values["accuracy"] == 1.0
    assert found.missing["roc_auc"] == "the ranking of a row are NaN or infinite"
    assert found.missing["log_loss"] == "the loss of the model gives no probabilities"
    assert set(found.values) == {
        "accuracy",
        "balanced_accuracy",
        "f1_macro",
        "recall_a",
        "recall_b",
    }
    assert scoring.scores(y, Answers(y), ["accuracy"]).values == {"accuracy": 1.0}
    with pytest.raises(UnknownNameError) as caught:
        scoring.check(["accuracy", "acuracy"], "best")
    assert (caught.value.field, caught.value.value) == ("best", "acuracy")


@pytest.mark.parametrize(
    ("counts", "uneven"),
    [
        ([3, 1], False),
        ([31, 10], True),
        ([5, 5, 2], False),
        ([5, 5, 1], True),
        ([10, 10, 5], False),
        ([], False),
        ([4], False),
    ],
)
def test_uneven_classes(counts, uneven):
    assert is_uneven(counts) is uneven


@pytest.mark.parametrize(
    ("name", "larger"),
    [("accuracy", True), ("val_accuracy", True), ("test_mse", False), ("train_recall_a", True),
     ("loss", None), ("val_loss", None), ("XXaccuracy", None), ("val_test_mse", None)],
)  # fmt: skip
def test_the_direction_of_a_metric_of_the_table(name, larger):
    assert table_direction(name) is larger


# ------------------------------------------------------------------------------------------ losses


@pytest.mark.parametrize("shape", [(4,), (2, 3), (2, 3, 2)])
def test_probabilities_are_taken_over_the_last_axis(shape):
    outputs = np.random.default_rng(1).normal(size=(*shape, 3))
    exponentials = np.exp(outputs)
    expected = exponentials / exponentials.sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(probabilities(outputs), expected, rtol=1e-14)
    one = probabilities(outputs[..., :1])
    np.testing.assert_allclose(one[..., 1], 1 / (1 + np.exp(-outputs[..., 0])), rtol=1e-14)
    np.testing.assert_allclose(one.sum(axis=-1), 1.0, rtol=1e-14)


def test_huber_bends_at_its_delta():
    outputs, targets = np.array([[0.5], [2.0], [5.0], [-5.0]]), np.zeros(4)
    value, slope = get_loss("huber", huber_delta=2.0).value_and_grad(outputs, targets)
    np.testing.assert_allclose(value, [0.125, 2.0, 8.0, 8.0])
    np.testing.assert_allclose(slope[:, 0], [0.5, 2.0, 2.0, -2.0])
    assert get_loss("mse", huber_delta=2.0) is LOSSES["mse"]


# -------------------------------------------------------------------------------------- diagnostics


def test_a_weighted_line_by_hand():
    """Points (1, 1), (2, 3), (4, 2) with errors 1, 1, ½: weights 1, 1, 4."""
    x, y, errors = np.array([1.0, 2.0, 4.0]), np.array([1.0, 3.0, 2.0]), np.array([1.0, 1.0, 0.5])
    w = errors**-2
    design = np.stack([x, np.ones(3)], axis=1)
    normal = design.T @ (w[:, None] * design)
    slope, offset = np.linalg.solve(normal, design.T @ (w * y))
    scatter = float(w @ (y - slope * x - offset) ** 2)
    rate, error = _fit(x, y, errors)
    assert scatter > 1.0
    assert rate == pytest.approx(-slope)
    assert error == pytest.approx(math.sqrt(scatter * np.linalg.inv(normal)[0, 0]))
    few_rate, few_error = _fit(x[:2], y[:2], errors[:2])
    assert (few_rate, few_error) == pytest.approx((-2.0, math.sqrt(2.0)))


def test_ten_points_are_enough_for_a_variance_and_nine_are_not():
    def derivatives(n, n_samples, rng):
        return 2.0 ** (-n / 2) * rng.normal(size=n_samples)

    assert gradient_variance_against_width(derivatives, [2, 4], n_samples=10).qubits == (2, 4)
    with pytest.raises(ConfigError, match="too few points for a variance") as caught:
        gradient_variance_against_width(derivatives, [2, 4], n_samples=9)
    assert (caught.value.field, caught.value.value) == ("n_samples", 9)
    assert caught.value.fix == "Take 100."
    with pytest.raises(ConfigError, match="a decay needs two widths") as caught:
        gradient_variance_against_width(derivatives, [2, 2])
    assert (caught.value.field, caught.value.value) == ("qubits", (2,))
    assert caught.value.fix == "For example [2, 4, 6]."
    with pytest.raises(ConfigError, match="is the same at all points") as caught:
        gradient_variance_against_width(lambda n, k, rng: np.full(k, 0.25), [2, 4])
    assert (caught.value.field, caught.value.value) == ("derivatives", 0.25)
    with pytest.raises(ConfigError, match="must be 300 finite numbers") as caught:
        gradient_variance_against_width(lambda n, k, rng: np.zeros(3), [2, 4])
    assert caught.value.value == (3,)


OTHER = "Try another learning rate, other initial parameters, or another circuit."


def test_findings_say_what_was_measured_and_what_to_do():
    detector, t = ConvergenceDetector(), np.arange(200.0)
    decay = list(2.0 + 5.0 * np.exp(-t / 5))
    (done,) = detector.findings(decay)
    assert (done.kind, done.threshold) == ("converged", 0.01)
    assert done.number < 1e-6
    assert done.message == (
        "converged: the metric changed by 0.00% of its range over the last 10 epochs; "
        "more hardly change it."
    )
    (stuck,) = detector.findings(decay, gradient_norms=[1.0] * 200, gradient_noise=[0.1] * 200)
    assert (stuck.kind, stuck.number) == ("plateau", done.number)
    assert stuck.message == (
        "plateau: the metric changed by 0.00% of its range over the last 10 epochs. "
        "The gradient is 10 times its noise, so this is no minimum."
    )
    (still,) = detector.findings([1.1] * 20)
    assert (still.kind, still.number, still.threshold) == ("plateau", 0.0, 0.01)
    assert still.message == (
        f"plateau: the metric has hardly changed at all over the last 10 epochs. {OTHER}"
    )
    risen = [*np.linspace(1.0, 2.0, 20), *[2.0] * 10]
    (up,) = [f for f in detector.findings(risen) if f.kind == "plateau"] or [None]
    if up is not None:
        assert up.message.endswith(OTHER)
    rng = np.random.default_rng(3)
    noisy = list(0.5 + 0.05 * rng.normal(size=40))
    (flat,) = detector.findings(noisy)
    assert "of its range, without a trend over the last 10 epochs. " + OTHER in flat.message
    assert f"goes up and down by {flat.number:.2%}" in flat.message
    fallen = [9.0, 8.0, 6.0, 4.0, 2.0, *(1.0 + 0.5 * rng.normal(size=30))]
    (low,) = detector.findings(fallen)
    assert low.message.endswith("without a trend over the last 10 epochs. Lower the learning rate.")
    (lost,) = detector.findings([1.0, math.nan])
    assert (lost.number, lost.threshold) == (math.inf, 0.0)
    assert lost.message == "diverging: the metric is nan in epoch 1. Lower the learning rate."


# ------------------------------------------------------------------------------------------ privacy


def test_guesses_take_the_highest_and_the_lowest_scores():
    scores, included = np.array([0.1, 0.9, 0.5, 0.3]), np.array([0.0, 1.0, 0.0, 1.0])
    assert guesses(scores, included, 2) == Guesses(2, 2)
    assert guesses(scores, included, 3) == Guesses(2, 2)
    assert guesses(scores, included, 4) == Guesses(4, 2)
    for made in (0, 1, 6):
        with pytest.raises(ConfigError, match="an audit of 4 canaries makes 2 to 4") as caught:
            guesses(scores, included, made)
        assert (caught.value.field, caught.value.value) == ("guesses", made)
        assert caught.value.fix == "Take a fifth of the canaries."


def test_areas_in_numbers():
    scores, included = np.array([3.0, 1.0, 2.0, 2.0]), np.array([1.0, 0.0, 1.0, 0.0])
    assert area(scores, included) == (1 + 1 + 1 + 0.5) / 4
    e, m, n = 0.8, 10, 20
    q1, q2 = e / (2 - e), 2 * e**2 / (1 + e)
    variance = (e * (1 - e) + (m - 1) * (q1 - e**2) + (n - 1) * (q2 - e**2)) / (m * n)
    assert area_error(e, m, n) == pytest.approx(math.sqrt(variance))
    assert area_error(1.0, m, n) == pytest.approx(math.sqrt(1 / (4 * m * n)))
    assert largest_area(0.0, 0.0) == pytest.approx(0.5, abs=1e-6)
    assert largest_area(50.0, 0.0) == pytest.approx(1.0, abs=1e-4)
    assert largest_area(50.1, 0.0) == 1.0
    assert largest_area(0.0, 0.2) == pytest.approx(1 - 0.8**2 / 2, abs=1e-6)


def test_a_spread_that_is_too_even_is_as_suspicious_as_one_too_uneven():
    from scipy.stats import chi2

    for share in (0.01, 0.3, 0.5, 0.7, 0.99):
        value = chi2.ppf(share, 7)
        assert spread_chance(value, 7) == pytest.approx(2 * min(share, 1 - share), rel=1e-9)


@pytest.mark.parametrize("noise", [-0.1, math.nan, math.inf])
def test_a_noise_that_is_none_is_refused(noise):
    with pytest.raises(ConfigError) as caught:
        step_divergence(0.1, noise)
    assert caught.value.message == "the noise multiplier is a finite number, 0 or more"
    assert caught.value.field == "noise_multiplier"
    np.testing.assert_equal(caught.value.value, noise)


# ------------------------------------------------------------------------------------------ kernels


def test_the_hash_is_a_step_of_splitmix64():
    """The first outputs of the generator with seeds 0 and 1234567, as published."""
    seeds = np.array([0, 1234567], np.uint64)
    assert _mixed(seeds).tolist() == [0xE220A8397B1DCDAF, 6457827717110365317]
    assert _hashes(np.array([3.0 + 5.0j])).tolist() == [3 + (5 << 32)]


def test_shots_of_known_overlaps_are_binomial_and_the_same_in_mirror_images():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(40, 2))
    states = np.stack([np.cos(x[:, 0]), np.sin(x[:, 0])], axis=1).astype(complex)
    named = named_rows(states, x)
    assert named.shape == (40, 3)
    np.testing.assert_array_equal(named[:, :2], states)
    sampled = SampledOverlaps(400, DrawKey((1, 2)))
    found = sampled(named, named)
    np.testing.assert_array_equal(found, found.T)
    np.testing.assert_array_equal(np.diag(found), 1.0)
    exact = np.abs(states @ states.T) ** 2
    z = (found - exact) / np.sqrt(np.maximum(exact * (1 - exact), 1e-9) / 400)
    upper = z[np.triu_indices(40, 1)]
    assert abs(upper.mean()) < 0.12
    assert upper.std() == pytest.approx(1.0, abs=0.1)
    other = SampledOverlaps(400, DrawKey((1, 3)))(named, named)
    assert (other != found).mean() > 0.5
    np.testing.assert_array_equal(sampled(named[3:9], named[20:]), found[3:9, 20:])


def test_a_kernel_refuses_rows_that_its_circuit_cannot_take():
    from qiskit import QuantumCircuit
    from qiskit.circuit import ParameterVector

    circuit = QuantumCircuit(2)
    for qubit, angle in enumerate(ParameterVector("x", 2)):
        circuit.ry(angle, qubit)
    kernel = FidelityKernel(circuit)
    kernel.check(np.zeros((3, 2)))
    with pytest.raises(DataError):
        kernel.check(np.zeros((3, 5)))


def test_alignment_by_hand_and_its_refusals():
    labels = np.array([0, 0, 1])
    ideal = np.where(labels[:, None] == labels, 1.0, -1.0)
    assert alignment(ideal, labels, centre=False) == pytest.approx(1.0)
    assert alignment(np.eye(3), labels, centre=False) == pytest.approx(3 / (3 * math.sqrt(3)))
    with pytest.raises(DataError) as caught:
        alignment(np.eye(3), np.zeros(3))
    assert caught.value.message == "alignment needs labels of at least two classes"
    with pytest.raises(DataError) as caught:
        alignment(np.eye(3), np.zeros(2))
    assert caught.value.message == "a kernel (3, 3) needs as many labels as rows and columns"


# ------------------------------------------------------------------------------------------- others


def test_of_many_equal_numbers_the_first_are_sent():
    class Alone:
        rank, world_size = 0, 1

        def all_reduce(self, values):
            return values

    vector = np.where(np.arange(200) % 3 == 0, 1.0, -1.0)
    sent = TopK(0.25).add_up(vector, Alone())
    np.testing.assert_array_equal(sent.own[:50], vector[:50])
    np.testing.assert_array_equal(sent.own[50:], 0.0)


def test_operators_among_observables_are_seen():
    from qiskit.quantum_info import SparsePauliOp

    own, theirs = Observable.parse("Z0"), SparsePauliOp(["IZ"])
    assert _has_operators([own])
    assert _has_operators(own)
    assert _has_operators(["Z0", theirs])
    assert _has_operators(theirs)
    assert not _has_operators(["Z0", "Z1"])
    assert not _has_operators("z")
    assert ModelConfig(n_qubits=2, observables=[theirs]).observables == ["Z0"]
    assert ModelConfig(n_qubits=3, observables=own).observables == ["Z0"]


def test_an_unknown_gradient_is_refused_with_the_known_ones():
    with pytest.raises(UnknownNameError, match="unknown gradient") as caught:
        get_gradient("adjoin", StatevectorBackend())
    assert caught.value.value == "adjoin"
    assert "auto" in caught.value.fix

"""Losses: known values, derivatives by central differences, no overflow."""

from __future__ import annotations

import numpy as np
import pytest

from qstore_ray.errors import UnknownNameError
from qstore_ray.learn.losses import LOSSES, get_loss, n_outputs, probabilities

# Classes, labels, or numbers a row.
TARGETS = {
    "cross_entropy": 5,
    "binary_cross_entropy": 2,
    "hinge": 2,
    "multilabel_cross_entropy": 4,
    "mse": 1,
    "mae": 1,
    "huber": 1,
    "compression": 1,
    "compression_local": 1,
}
CASES = [*TARGETS.items(), ("mse", 3), ("mae", 3), ("huber", 3)]
every_loss = pytest.mark.parametrize(("name", "n_targets"), CASES)


def _example(name: str, n_targets: int, shape: tuple[int, ...], scale: float = 2.0):
    """Outputs (*shape, K) and targets (*shape), or (*shape, K) where a row has several."""
    rng = np.random.default_rng(3)
    outputs = rng.normal(scale=scale, size=(*shape, n_outputs(name, n_targets)))
    goal = LOSSES[name].goal
    if goal == "compression":
        return 0.5 + 0.49 * np.tanh(outputs), rng.normal(size=shape)
    if goal == "classification":
        return outputs, rng.integers(0, n_targets, size=shape)
    if goal == "multilabel":
        return outputs, rng.integers(0, 2, size=(*shape, n_targets))
    return outputs, rng.normal(size=shape if n_targets == 1 else (*shape, n_targets))


def test_every_loss_is_tested():
    assert set(TARGETS) == set(LOSSES)


@every_loss
def test_its_derivative_is_the_central_difference(name: str, n_targets: int):
    outputs, targets = _example(name, n_targets, (7,))
    loss = get_loss(name)
    _, slopes = loss.value_and_grad(outputs, targets)
    assert slopes.shape == outputs.shape
    for k in range(outputs.shape[-1]):
        shift = np.zeros(outputs.shape)
        shift[..., k] = 1e-5
        up, _ = loss.value_and_grad(outputs + shift, targets)
        down, _ = loss.value_and_grad(outputs - shift, targets)
        np.testing.assert_allclose(slopes[..., k], (up - down) / 2e-5, atol=1e-9, rtol=1e-8)


@every_loss
def test_rows_do_not_see_each_other(name: str, n_targets: int):
    outputs, targets = _example(name, n_targets, (3, 16))
    values, slopes = get_loss(name).value_and_grad(outputs, targets)
    assert values.shape == (3, 16)
    for block in range(3):
        for i in range(16):
            one = slice(i, i + 1)
            value, slope = get_loss(name).value_and_grad(outputs[block, one], targets[block, one])
            assert value.tobytes() == values[block, one].tobytes()
            assert slope.tobytes() == slopes[block, one].tobytes()


@every_loss
@pytest.mark.parametrize("size", [1000.0, -1000.0])
def test_nothing_overflows(name: str, n_targets: int, size: float):
    outputs, targets = _example(name, n_targets, (9,))
    if LOSSES[name].goal != "compression":  # its outputs are probabilities
        outputs = np.sign(outputs) * size
    chances = LOSSES[name].probabilities or probabilities
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        values, slopes = get_loss(name).value_and_grad(outputs, targets)
        chances(outputs)
    assert np.isfinite(values).all()
    assert np.isfinite(slopes).all()
    assert (values >= 0).all()


@every_loss
def test_it_is_not_negative_and_falls_along_its_slope(name: str, n_targets: int):
    outputs, targets = _example(name, n_targets, (50,))
    values, slopes = get_loss(name).value_and_grad(outputs, targets)
    lower, _ = get_loss(name).value_and_grad(outputs - 1e-3 * slopes, targets)
    assert (values >= 0).all()
    flat = (slopes == 0).all(axis=-1)
    assert flat.mean() < 0.5
    assert ((lower < values) | flat).all()


@pytest.mark.parametrize("n_classes", [2, 3, 10])
def test_scores_of_zero_cost_the_logarithm_of_the_number_of_classes(n_classes: int):
    targets = np.arange(n_classes)
    outputs = np.zeros((n_classes, n_classes))
    values, slopes = get_loss("cross_entropy").value_and_grad(outputs, targets)
    np.testing.assert_allclose(values, np.log(n_classes), rtol=1e-15)
    expected = 1 / n_classes - np.eye(n_classes)
    np.testing.assert_allclose(slopes, expected, rtol=1e-15)
    np.testing.assert_allclose(probabilities(outputs), 1 / n_classes, rtol=1e-15)


def test_known_values_of_binary_cross_entropy():
    outputs, targets = np.array([[0.0], [0.0], [1000.0], [-1000.0]]), np.array([0, 1, 0, 1])
    values, slopes = get_loss("binary_cross_entropy").value_and_grad(outputs, targets)
    np.testing.assert_allclose(values, [np.log(2), np.log(2), 1000.0, 1000.0], rtol=1e-15)
    np.testing.assert_allclose(slopes[:, 0], [0.5, -0.5, 1.0, -1.0], rtol=1e-15)


def test_known_values_of_squared_error():
    outputs, targets = np.array([[3.0], [-1.0]]), np.array([1.0, -1.0])
    values, slopes = get_loss("mse").value_and_grad(outputs, targets)
    np.testing.assert_array_equal(values, [4.0, 0.0])
    np.testing.assert_array_equal(slopes, [[4.0], [0.0]])


def test_known_values_of_absolute_error_and_hubers():
    outputs, targets = np.array([[3.0], [-1.5], [0.5]]), np.array([1.0, -1.0, 0.5])
    values, slopes = get_loss("mae").value_and_grad(outputs, targets)
    np.testing.assert_array_equal(values, [2.0, 0.5, 0.0])
    np.testing.assert_array_equal(slopes, [[1.0], [-1.0], [0.0]])
    values, slopes = get_loss("huber").value_and_grad(outputs, targets)
    np.testing.assert_array_equal(values, [1.5, 0.125, 0.0])
    np.testing.assert_array_equal(slopes, [[1.0], [-0.5], [0.0]])


def test_huber_is_half_the_square_up_to_delta_and_nearly_the_distance_for_a_small_one():
    outputs, targets = _example("huber", 1, (30,))
    square, _ = get_loss("mse").value_and_grad(outputs, targets)
    wide, _ = get_loss("huber", huber_delta=1e3).value_and_grad(outputs, targets)
    np.testing.assert_allclose(wide, 0.5 * square, rtol=1e-14)
    distance, _ = get_loss("mae").value_and_grad(outputs, targets)
    narrow, _ = get_loss("huber", huber_delta=1e-6).value_and_grad(outputs, targets)
    np.testing.assert_allclose(narrow / 1e-6, distance, atol=1e-6)


def test_known_values_of_hinge():
    outputs, targets = np.array([[2.0], [0.5], [0.5], [-2.0]]), np.array([1, 1, 0, 0])
    values, slopes = get_loss("hinge").value_and_grad(outputs, targets)
    np.testing.assert_array_equal(values, [0.0, 0.5, 1.5, 0.0])
    np.testing.assert_array_equal(slopes, [[0.0], [-1.0], [1.0], [0.0]])
    assert get_loss("hinge").probabilities is None


def test_several_labels_cost_the_mean_of_their_binary_cross_entropies():
    outputs, targets = _example("multilabel_cross_entropy", 4, (20,))
    values, slopes = get_loss("multilabel_cross_entropy").value_and_grad(outputs, targets)
    binary = get_loss("binary_cross_entropy")
    single = [binary.value_and_grad(outputs[:, [k]], targets[:, k]) for k in range(4)]
    np.testing.assert_allclose(values, np.mean([value for value, _ in single], axis=0), rtol=1e-14)
    np.testing.assert_allclose(slopes, np.hstack([slope for _, slope in single]) / 4, rtol=1e-14)


@pytest.mark.parametrize("name", ["mse", "mae", "huber"])
def test_several_numbers_cost_the_mean_of_what_each_costs(name: str):
    outputs, targets = _example(name, 3, (20,))
    values, _ = get_loss(name).value_and_grad(outputs, targets)
    single = [get_loss(name).value_and_grad(outputs[:, [k]], targets[:, k])[0] for k in range(3)]
    np.testing.assert_allclose(values, np.mean(single, axis=0), rtol=1e-14)
    np.testing.assert_array_equal(get_loss(name).predict(outputs), outputs)


def test_each_label_has_a_probability_of_its_own_and_is_there_above_a_half():
    loss = get_loss("multilabel_cross_entropy")
    scores = np.array([[0.0, 2.0, -3.0], [40.0, 1e-9, -40.0]])
    assert loss.probabilities is not None
    expected = 1.0 / (1.0 + np.exp(-scores))
    np.testing.assert_allclose(loss.probabilities(scores), expected, atol=1e-15)
    np.testing.assert_array_equal(loss.predict(scores), [[0, 1, 0], [1, 1, 0]])


def test_binary_is_cross_entropy_of_the_scores_zero_and_s():
    score = np.random.default_rng(0).normal(scale=4, size=(20, 1))
    targets = np.arange(20) % 2
    pair = np.hstack([np.zeros((20, 1)), score])
    one, slope = get_loss("binary_cross_entropy").value_and_grad(score, targets)
    two, slopes = get_loss("cross_entropy").value_and_grad(pair, targets)
    np.testing.assert_allclose(one, two, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(slope[:, 0], slopes[:, 1], rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(probabilities(score), probabilities(pair), rtol=1e-14)


def test_cross_entropy_does_not_see_a_common_shift():
    outputs, targets = _example("cross_entropy", 5, (6,))
    values, _ = get_loss("cross_entropy").value_and_grad(outputs, targets)
    shifted, _ = get_loss("cross_entropy").value_and_grad(outputs + 3.0, targets)
    np.testing.assert_allclose(shifted, values, rtol=1e-12)


@pytest.mark.parametrize("width", [1, 2, 7])
def test_probabilities_are_positive_and_sum_to_one(width: int):
    found = probabilities(np.random.default_rng(0).normal(scale=9, size=(30, width)))
    assert found.shape == (30, max(width, 2))
    assert (found > 0).all()
    np.testing.assert_allclose(found.sum(axis=1), 1.0, rtol=1e-14)


def test_predictions_are_the_likeliest_class_or_the_value():
    scores = np.array([[0.1, 2.0, -1.0], [0.0, -1.0, 3.0]])
    np.testing.assert_array_equal(get_loss("cross_entropy").predict(scores), [1, 2])
    binary = get_loss("binary_cross_entropy").predict(np.array([[-0.1], [0.1]]))
    np.testing.assert_array_equal(binary, [0, 1])
    assert np.issubdtype(binary.dtype, np.integer)
    np.testing.assert_array_equal(get_loss("mse").predict(np.array([[-0.1], [2.5]])), [-0.1, 2.5])


def test_an_unknown_loss_is_refused():
    with pytest.raises(UnknownNameError, match="cross_entropy") as caught:
        get_loss("crossentropy")
    assert caught.value.field == "model.loss"

"""The laws of a quantum autoencoder: its loss is a probability that the rows' spectrum bounds."""

from __future__ import annotations

import numpy as np
import pytest

from qstore_ray.backends.statevector import StatevectorBackend
from qstore_ray.circuits.observable import zeros_mean, zeros_projector
from qstore_ray.circuits.template import Template
from qstore_ray.errors import ConfigError
from qstore_ray.learn import step
from qstore_ray.learn.config import ModelConfig
from qstore_ray.learn.gradients import get_gradient
from qstore_ray.learn.model import QuantumModel, build_model
from qstore_ray.learn.optimizers import get_optimizer
from qstore_ray.simulate import reference

NATIVE = StatevectorBackend()
N = 3
every_loss = pytest.mark.parametrize("loss", ["compression", "compression_local"])


def _model(loss: str = "compression", **fields) -> QuantumModel:
    fields = {"n_qubits": N, "encoding": "amplitude", "ansatz": "strongly_entangling",
              "layers": 5, "head": "none", "trash_qubits": [1, 2], **fields}  # fmt: skip
    return build_model(ModelConfig(loss=loss, **fields), n_features=2**N, n_classes=None)


def _states(rank: int, n_rows: int = 40) -> np.ndarray:
    """Rows whose states span `rank` dimensions."""
    rng = np.random.default_rng(1)
    return rng.normal(size=(n_rows, rank)) @ rng.normal(size=(rank, 2**N))


def _loss(model: QuantumModel, theta: np.ndarray, x: np.ndarray) -> float:
    total = step.evaluate(model, theta, x, np.zeros(len(x)), NATIVE).sum(axis=0)
    return float(total[0] / total[1])


def _trained(model: QuantumModel, x: np.ndarray, steps: int = 200) -> np.ndarray:
    optimizer, method = get_optimizer("adam", {}), get_gradient("auto", NATIVE)
    theta = np.random.default_rng(0).uniform(-1, 1, model.n_parameters)
    state, y = optimizer.init(theta), np.zeros(len(x))
    for _ in range(steps):
        sums = step.total(step.value_and_grad(model, theta, x, y, NATIVE, method))
        theta, state = optimizer.update(state, theta, sums.gradient / sums.n_rows, 0.05)
    return theta


@every_loss
def test_two_dimensions_fit_on_one_qubit(loss: str):
    model, x = _model(loss), _states(rank=2)
    assert _loss(model, _trained(model, x), x) < 1e-3


@every_loss
def test_the_loss_is_a_probability_whatever_the_parameters(loss: str):
    model, x = _model(loss), _states(rank=5)
    for seed in range(20):
        theta = np.random.default_rng(seed).uniform(-4, 4, model.n_parameters)
        assert -1e-12 <= _loss(model, theta, x) <= 1.0 + 1e-12


def test_no_circuit_keeps_more_than_the_largest_eigenvalues_of_the_mean_state():
    """Romero et al. 2017: k qubits hold at most the 2^k largest eigenvalues of the mean state."""
    model, x = _model(), _states(rank=4)
    rows = x / np.linalg.norm(x, axis=1, keepdims=True)
    bound = 1.0 - np.linalg.eigvalsh(rows.T @ rows / len(rows))[-2:].sum()
    losses = [_loss(model, _trained(model, x, steps), x) for steps in (1, 30, 200)]
    assert losses == sorted(losses, reverse=True)
    assert bound <= losses[-1] < bound + 0.03


@pytest.mark.parametrize("trash", [[0], [2, 0], [1, 2], [2, 1, 0]])
def test_the_observables_are_the_probabilities_of_zeros(trash: list[int]):
    rng = np.random.default_rng(2)
    states = rng.normal(size=(4, 2**N)) + 1j * rng.normal(size=(4, 2**N))
    states /= np.linalg.norm(states, axis=1, keepdims=True)
    seen = [zeros_projector(trash), zeros_mean(trash)]
    template = Template(N, (), initial="amplitudes")
    found = reference.expectations(template, seen, np.zeros((4, 0)), np.zeros(0), states)
    chances = np.abs(states) ** 2
    zero = np.array([[not index >> q & 1 for index in range(2**N)] for q in trash])
    np.testing.assert_allclose(found[:, 0], chances @ zero.all(axis=0), atol=1e-14)
    np.testing.assert_allclose(found[:, 1], chances @ zero.mean(axis=0), atol=1e-14)


@every_loss
def test_targets_are_not_looked_at(loss: str):
    model, x = _model(loss), _states(rank=3)
    theta, method = model.initial(0), get_gradient("auto", NATIVE)
    rng = np.random.default_rng(0)
    one, other = (
        step.value_and_grad(model, theta, x, rng.normal(size=len(x)), NATIVE, method)
        for _ in range(2)
    )
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("n_classes", [None, 2, 7])
def test_it_takes_the_rows_of_any_task(n_classes: int | None):
    config = ModelConfig(n_qubits=2, loss="compression", head="none", trash_qubits=[1])
    model = build_model(config, n_features=2, n_classes=n_classes)
    assert (model.n_outputs, model.loss.classification) == (1, False)


@pytest.mark.parametrize(
    ("fields", "field", "message"),
    [
        ({"trash_qubits": []}, "model.trash_qubits", r"\[1, 2\]"),
        ({"trash_qubits": [0, 1, 2]}, "model.trash_qubits", "not all"),
        ({"trash_qubits": [1, 1]}, "model.trash_qubits", "different"),
        ({"trash_qubits": [3]}, "model.trash_qubits", "of the 3"),
        ({"head": "linear"}, "model.head", "none"),
        ({"post_layers": [3]}, "model.post_layers", "no layer"),
        ({"observables": ["Z0"]}, "model.observables", "Leave observables out"),
        ({"loss": "mse"}, "model.trash_qubits", "loss = 'compression'"),
        ({"n_qubits": 12, "trash_qubits": [*range(11)]}, "model.trash_qubits", "local"),
    ],
    ids=str,
)
def test_what_does_not_go_with_compression_is_refused(fields: dict, field: str, message: str):
    with pytest.raises(ConfigError, match=message) as caught:
        _model(**({"loss": "compression"} | fields))
    assert caught.value.field == field

"""The laws of dense layers around a circuit: derivatives through everything, on every encoding."""

from __future__ import annotations

import numpy as np
import pytest

from qstore_ray.backends.statevector import StatevectorBackend
from qstore_ray.circuits.library.library import ANSATZE, ENCODINGS
from qstore_ray.errors import CircuitError, ConfigError, DataError
from qstore_ray.learn import step
from qstore_ray.learn.config import ModelConfig
from qstore_ray.learn.gradients import get_gradient
from qstore_ray.learn.layers import ACTIVATIONS, DenseLayers
from qstore_ray.learn.model import QuantumModel, build_model
from qstore_ray.learn.optimizers import get_optimizer

WIDTHS = {
    "dense_angle": 6,
    "amplitude": 7,
    "hamiltonian": 2,
}  # of what an encoding takes on three qubits, else 3
DIFFERENTIABLE = [name for name in ENCODINGS if name != "basis"]
OBSERVABLES = ["X0 + 0.5*Z0", "Z1 - 0.3*Y1", "Y2 + 0.7*X2", "Z0 Z2"]
N_FEATURES = 5
NUMPY, NATIVE = StatevectorBackend("numpy"), StatevectorBackend()

every_activation = pytest.mark.parametrize("activation", ["tanh", "relu", "identity"])


def _model(encoding: str = "angle", **fields) -> QuantumModel:
    width = WIDTHS.get(encoding, 3)
    fields = {
        "n_qubits": 3,
        "layers": 2,
        "encoding": encoding,
        "observables": OBSERVABLES,
        "pre_layers": [4, width],
        "post_layers": [3, 5],
    } | fields
    return build_model(ModelConfig(**fields), n_features=N_FEATURES, n_classes=3)


def _point(model: QuantumModel, n_rows: int = 18):
    rng = np.random.default_rng(7)
    x = rng.uniform(-1.0, 1.0, (n_rows, N_FEATURES))
    return rng.uniform(-0.8, 0.8, model.n_parameters), x, rng.integers(0, 3, n_rows)


def _step(model, theta, x, y, backend=NATIVE, gradient="auto"):
    return step.value_and_grad(model, theta, x, y, backend, get_gradient(gradient, backend))


def _differences(model: QuantumModel, theta, x, y) -> np.ndarray:
    def loss(at: np.ndarray) -> float:
        outputs = step.outputs_of(model, at, x, NUMPY)
        return float(model.loss.value_and_grad(outputs, y)[0].sum())

    shifts = np.eye(len(theta)) * 2e-6
    return np.array([(loss(theta + shift) - loss(theta - shift)) / 4e-6 for shift in shifts])


def _assert_right(model: QuantumModel, gradient: str = "auto") -> None:
    theta, x, y = _point(model)
    sums = step.total(_step(model, theta, x, y, gradient=gradient))
    expected = _differences(model, theta, x, y)
    parts = model.split(np.arange(model.n_parameters))
    for name, part in zip(parts._fields, parts, strict=True):
        if part is not None:
            index = part.ravel()
            found, known = sums.gradient[index], expected[index]
            np.testing.assert_allclose(found, known, atol=3e-7, rtol=1e-6, err_msg=name)
            assert np.abs(known).max() > 1e-4, f"{name} has no influence"


@pytest.mark.parametrize("encoding", DIFFERENTIABLE)
@pytest.mark.parametrize("reuploading", [False, True])
def test_the_gradient_is_the_central_difference_through_every_encoding(
    encoding: str, reuploading: bool
):
    if encoding == "amplitude":
        if reuploading:
            with pytest.raises(CircuitError, match="reuploading"):
                _model(encoding, reuploading=True)
            return
        _assert_right(_model(encoding))
        return
    model = _model(encoding, reuploading=reuploading, input_scaling=True)
    assert (model.circuit.template.n_rows > model.circuit.n_features) == (
        reuploading or encoding in {"zz", "iqp"}
    )
    _assert_right(model)


@every_activation
def test_the_gradient_is_the_central_difference_for_every_activation(activation: str):
    _assert_right(_model(activation=activation, input_scaling=True))


@pytest.mark.parametrize("gradient", ["adjoint", "parameter_shift"])
@pytest.mark.parametrize("fields", [{"pre_layers": []}, {"post_layers": []}, {}], ids=str)
def test_layers_on_one_side_only_are_right_too(gradient: str, fields: dict):
    if fields.get("pre_layers") == []:
        model = _model("dense_angle", **fields, n_qubits=3)
        assert model.pre is None
        assert not model.rows_gradient
    else:
        model = _model("zz", **fields)
    _assert_right(model, gradient)


def test_amplitudes_behind_layers_need_the_exact_gradient():
    model = _model("amplitude")
    with pytest.raises(CircuitError, match="amplitudes") as caught:
        _step(model, *_point(model), gradient="parameter_shift")
    assert caught.value.field == "trainer.gradient"


@pytest.mark.parametrize("ansatz", ANSATZE)
def test_every_feature_and_every_layer_s_parameter_counts(ansatz: str):
    model = _model(ansatz=ansatz, reuploading=True, input_scaling=True)
    theta, x, _ = _point(model)
    outputs = step.outputs_of(model, theta, x, NATIVE)
    for column in range(N_FEATURES):
        changed = x.copy()
        changed[:, column] += 0.3
        found = step.outputs_of(model, theta, changed, NATIVE)
        assert np.abs(found - outputs).max(axis=1).min() > 1e-6
    before = model.split(theta).pre
    assert before is not None
    for index in range(len(before)):
        changed = theta.copy()
        changed[index] += 0.3
        assert np.abs(step.outputs_of(model, changed, x, NATIVE) - outputs).max() > 1e-6


def test_an_affine_layer_that_is_the_identity_changes_nothing():
    plain = build_model(ModelConfig(n_qubits=3), n_features=3, n_classes=3)
    fields = {"pre_layers": [3], "activation": "identity"}
    hybrid = build_model(ModelConfig(n_qubits=3, **fields), n_features=3, n_classes=3)
    theta = plain.initial(1)
    own = plain.sizes["circuit"]
    both = np.concatenate([theta[:own], np.eye(3).ravel(), np.zeros(3), theta[own:]])
    x = np.random.default_rng(0).normal(size=(7, 3))
    np.testing.assert_allclose(
        step.outputs_of(hybrid, both, x, NATIVE),
        step.outputs_of(plain, theta, x, NATIVE),
        atol=1e-14,
    )


@every_activation
def test_angles_stay_within_pi_unless_there_is_no_activation(activation: str):
    model = _model(activation=activation)
    theta, x, _ = _point(model)
    inputs, _ = model.inputs(model.split(20.0 * theta), x)
    assert (np.abs(inputs).max() <= np.pi) == (activation != "identity")


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_slope_of_an_activation_is_its_central_difference(name: str):
    a = np.random.default_rng(2).normal(size=200)
    value, slope = ACTIVATIONS[name]
    difference = (value(a + 1e-6) - value(a - 1e-6)) / 2e-6
    np.testing.assert_allclose(slope(value(a)), difference, atol=1e-8)


def test_layers_start_with_no_bias_and_weights_within_glorot_s_bound():
    layers = DenseLayers((30, 20, 10), ("tanh", "angle"))
    theta = layers.initial(np.random.default_rng(0))
    assert len(theta) == layers.n_parameters == 30 * 20 + 20 + 20 * 10 + 10
    first, second = theta[:600], theta[620:820]
    for weights, limit in ((first, np.sqrt(6 / 50)), (second, np.sqrt(6 / 30))):
        assert 0.97 * limit < np.abs(weights).max() < limit
    np.testing.assert_array_equal(theta[600:620], 0.0)
    np.testing.assert_array_equal(theta[820:], 0.0)


def test_a_hybrid_model_learns_what_its_circuit_alone_cannot_see():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(160, 12))
    y = ((x[:, 0] * x[:, 1]) > 0).astype(np.int64)
    config = ModelConfig(n_qubits=2, layers=2, pre_layers=[8, 2], post_layers=[4])
    model = build_model(config, n_features=12, n_classes=2)
    optimizer, method = get_optimizer("adam", {}), get_gradient("auto", NATIVE)
    theta = model.initial(0)
    state = optimizer.init(theta)
    for _ in range(150):
        sums = step.total(step.value_and_grad(model, theta, x, y, NATIVE, method))
        theta, state = optimizer.update(state, theta, sums.gradient / sums.n_rows, 0.05)
    assert sums.correct / sums.n_rows > 0.95


@pytest.mark.parametrize(
    ("fields", "error", "field"),
    [
        ({"encoding": "basis", "pre_layers": [3]}, CircuitError, "model.encoding"),
        ({"pre_layers": [4]}, CircuitError, "model.n_features"),
        ({"pre_layers": [0, 3]}, ConfigError, "pre_layers.0"),
        ({"head": "none", "observables": OBSERVABLES[:3]}, ConfigError, "model.post_layers"),
        ({"activation": "gelu"}, ConfigError, "activation"),
    ],
    ids=str,
)
def test_layers_that_cannot_be_are_refused(fields: dict, error: type, field: str):
    with pytest.raises(error) as caught:
        _model(**fields)
    assert caught.value.field == field


@pytest.mark.parametrize("x", [np.zeros((2, 4)), np.full((2, N_FEATURES), np.nan)])
def test_rows_that_the_layers_cannot_take_are_refused(x: np.ndarray):
    model = _model()
    theta, _, _ = _point(model)
    with pytest.raises(DataError, match="5 finite features") as caught:
        step.outputs_of(model, theta, x, NATIVE)
    assert caught.value.field == "x"

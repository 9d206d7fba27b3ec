"""A model: how θ is laid out and filled, and which configurations make none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from qiskit.quantum_info import SparsePauliOp

from qstore_ray.errors import CircuitError, ConfigError, QStoreError, UnknownNameError
from qstore_ray.learn.config import ModelConfig
from qstore_ray.learn.model import QuantumModel, build_model


def _model(n_features: int = 3, n_classes: int | None = 4, **fields) -> QuantumModel:
    config = ModelConfig(**{"n_qubits": 3, "layers": 1, **fields})
    return build_model(config, n_features=n_features, n_classes=n_classes)


def test_theta_is_circuit_then_scales_then_weights_then_bias():
    model = _model(input_scaling=True)
    sizes = {"pre": 0, "circuit": 9, "input_scale": 3, "post": 0, "weights": 12, "bias": 4}
    assert model.sizes == sizes
    assert model.n_parameters == 28
    parts = model.split(np.arange(28.0))
    np.testing.assert_array_equal(parts.circuit, np.arange(9))
    np.testing.assert_array_equal(parts.input_scale, [9, 10, 11])
    np.testing.assert_array_equal(parts.weights, np.arange(12, 24).reshape(3, 4))
    np.testing.assert_array_equal(parts.bias, [24, 25, 26, 27])


def test_the_parts_are_views():
    model = _model(input_scaling=True)
    theta = np.zeros(model.n_parameters)
    there = [part for part in model.split(theta) if part is not None]
    for value, part in enumerate(there, start=1):
        part[:] = value
    np.testing.assert_array_equal(np.bincount(theta.astype(int)), [0, 9, 3, 12, 4])


def test_what_a_model_does_not_have_is_none():
    model = _model(n_classes=3, head="none", observables=["Z0", "Z1", "Z2"])
    parts = model.split(model.initial(0))
    assert (parts.input_scale, parts.weights, parts.bias) == (None, None, None)
    assert model.n_parameters == len(parts.circuit) == 9


def test_the_start_is_small_random_angles_unit_scales_and_no_bias():
    model = _model(n_features=8, n_qubits=8, layers=20, input_scaling=True, initial_spread=0.3)
    parts = model.split(model.initial(7))
    assert parts.circuit.std() == pytest.approx(0.3, rel=0.15)
    assert (parts.circuit != 0).all()
    assert (parts.weights != 0).all()
    np.testing.assert_array_equal(parts.input_scale, 1.0)
    np.testing.assert_array_equal(parts.bias, 0.0)


def test_the_start_is_the_seed_s_and_nothing_else_s():
    model = _model()
    np.testing.assert_array_equal(model.initial(3), model.initial(3))
    assert (model.initial(3)[:9] != model.initial(4)[:9]).all()


def test_a_spread_of_zero_starts_the_circuit_at_zero():
    model = _model(initial_spread=0.0)
    np.testing.assert_array_equal(model.split(model.initial(0)).circuit, 0.0)


def test_bindings_are_the_scaled_angles_and_the_circuit_s_parameters():
    model = _model(input_scaling=True)
    theta = model.initial(0)
    parts = model.split(theta)
    parts.input_scale[:] = [1.0, 2.0, -3.0]
    x = np.array([[0.1, 0.2, 0.3], [1.0, 1.0, 1.0]])
    bound = model.bindings(parts, x, model.circuit.angles(x))
    np.testing.assert_allclose(bound.rows, [[0.1, 0.4, -0.9], [1.0, 2.0, -3.0]])
    np.testing.assert_array_equal(bound.params, parts.circuit)
    assert bound.amplitudes is None


def test_amplitudes_are_the_normalised_rows():
    model = _model(n_features=5, encoding="amplitude")
    x = np.array([[3.0, 0.0, 4.0, 0.0, 0.0]])
    bound = model.bindings(model.split(model.initial(0)), x, model.circuit.angles(x))
    assert bound.rows.shape == (1, 0)
    np.testing.assert_allclose(bound.amplitudes, [[0.6, 0, 0.8, 0, 0, 0, 0, 0]])


@pytest.mark.parametrize(
    ("n_classes", "loss", "outputs"),
    [(None, "mse", 1), (2, "binary_cross_entropy", 1), (3, "cross_entropy", 3)],
)
def test_auto_takes_the_loss_of_the_task(n_classes, loss, outputs):
    model = _model(n_classes=n_classes)
    assert (model.loss_name, model.n_outputs) == (loss, outputs)
    assert model.loss.classification == (n_classes is not None)


def test_two_classes_may_have_two_scores():
    assert _model(n_classes=2, loss="cross_entropy").n_outputs == 2


def test_observables_by_name_or_as_text():
    assert [o.label for o in _model().observables] == ["Z0", "Z1", "Z2"]
    pairs = _model(observables="z+zz").observables
    assert [o.label for o in pairs] == ["Z0", "Z1", "Z2", "Z0 Z1", "Z0 Z2", "Z1 Z2"]
    mixed = _model(observables="x+yz").observables
    assert [o.label for o in mixed[:4]] == ["X0", "X1", "X2", "Y0 Z1"]
    (own,) = _model(observables=["0.5*X0 Y1 - Z2"]).observables
    assert own.label == "0.5*X0 Y1 - Z2"


def test_by_name_observables_are_of_the_qubits_that_pooling_leaves():
    fields = {"n_features": 6, "n_qubits": 6, "ansatz": "qcnn"}
    assert [o.label for o in _model(**fields).observables] == ["Z0", "Z2", "Z4"]
    (pair,) = _model(**fields, layers=2, observables="z+zz").observables[2:]
    assert pair.label == "Z0 Z4"
    assert [o.label for o in _model(**fields, layers=3).observables] == ["Z0"]


@pytest.mark.parametrize(
    ("task", "n_classes", "n_targets", "loss", "outputs"),
    [
        ("multilabel", 4, 1, "multilabel_cross_entropy", 4),
        ("multilabel", 2, 1, "multilabel_cross_entropy", 2),
        ("regression", None, 3, "mse", 3),
        ("classification", 2, 1, "binary_cross_entropy", 1),
    ],
)
def test_auto_takes_the_loss_of_several_labels_or_numbers(
    task, n_classes, n_targets, loss, outputs
):
    model = build_model(
        ModelConfig(n_qubits=3),
        n_features=3,
        n_classes=n_classes,
        task=task,
        n_targets=n_targets,
    )
    assert (model.loss_name, model.n_outputs) == (loss, outputs)
    assert model.loss.goal == task


def test_a_loss_for_several_labels_does_not_fit_one_class_a_row():
    with pytest.raises(ConfigError, match="auto") as caught:
        _model(loss="multilabel_cross_entropy")
    assert caught.value.field == "model.loss"


def test_theta_begins_with_the_circuit_and_ends_with_the_head():
    model = _model(n_features=5, pre_layers=[2, 3], post_layers=[6])
    assert list(model.sizes) == ["circuit", "pre", "input_scale", "post", "weights", "bias"]
    assert model.sizes["pre"] == 5 * 2 + 2 + 2 * 3 + 3
    assert model.sizes["post"] == 3 * 6 + 6
    assert model.sizes["weights"] == 6 * 4
    blocks = np.zeros((2, model.n_parameters))
    for value, part in enumerate(model.split(blocks)):
        if part is not None:
            part[...] = value
    np.testing.assert_array_equal(np.unique(blocks), [0, 1, 3, 4, 5])


WRONG: dict[str, tuple[dict, type[QStoreError], str]] = {
    "a loss for numbers on classes": ({"loss": "mse"}, ConfigError, "loss"),
    "a loss for classes on numbers": (
        {"loss": "cross_entropy", "n_classes": None}, ConfigError, "loss",
    ),
    "two classes' loss on four": ({"loss": "binary_cross_entropy"}, ConfigError, "loss"),
    "an unknown loss": ({"loss": "hingue"}, ConfigError, "loss"),
    "no head and too few observables": ({"head": "none"}, ConfigError, "observables"),
    "no observables": ({"observables": []}, ConfigError, "observables"),
    "observables that are no text of Paulis": (
        {"observables": ["Q0"]}, CircuitError, "observable",
    ),
    "an unknown head": ({"head": "mlp"}, ConfigError, "head"),
    "an unknown encoding": ({"encoding": "angles"}, UnknownNameError, "encoding"),
    "an unknown ansatz": ({"ansatz": "su2"}, UnknownNameError, "ansatz"),
    "an unknown entanglement": ({"entanglement": "circle"}, UnknownNameError, "entanglement"),
    "more features than fit": ({"n_features": 4}, CircuitError, "n_features"),
    "no qubits": ({"n_qubits": 0}, ConfigError, "n_qubits"),
    "a negative spread": ({"initial_spread": -1.0}, ConfigError, "initial_spread"),
    "an unknown key": ({"n_qubit": 3}, ConfigError, "n_qubit"),
}  # fmt: skip


@pytest.mark.parametrize(("fields", "error", "field"), WRONG.values(), ids=WRONG)
def test_what_makes_no_model_is_refused_by_name(fields, error, field):
    with pytest.raises(error) as caught:
        _model(**fields)
    assert type(caught.value) is error
    assert caught.value.field.removeprefix("model.") == field


def test_a_wrong_loss_says_what_to_take():
    with pytest.raises(ConfigError, match="auto"):
        _model(loss="mse")
    with pytest.raises(ConfigError, match="cross_entropy"):
        _model(loss="binary_cross_entropy")


def test_an_operator_has_as_many_qubits_as_the_circuit_that_is_taken_by_default():
    assert ModelConfig(observables=[SparsePauliOp("ZIIX")]).observables == ["X0 Z3"]
    with pytest.raises(CircuitError, match="the operator is of 2 qubits, the circuit has 4"):
        ModelConfig(observables=[SparsePauliOp("ZZ")])


@pytest.mark.parametrize("kind", [str, Path])
def test_a_file_of_a_circuit_is_kept_as_the_text_that_its_user_wrote(kind, tmp_path: Path):
    text = "OPENQASM 3.0;\n// mine\ninput float a;\ninput float x;\nqubit q;\nrx(x + a) q;\n"
    file = tmp_path / "mine.qasm"
    file.write_text(text, encoding="utf-8")
    assert ModelConfig(circuit=kind(file)).circuit == text


def test_an_operator_on_a_circuit_whose_features_only_the_user_can_tell_apart():
    text = (
        "OPENQASM 3.0;\ninput float x;\ninput float x_0;\nqubit[2] q;\nrx(x) q[0]; rx(x_0) q[1];\n"
    )
    operator = SparsePauliOp("IZ")
    config = ModelConfig(circuit=text, features=["x", "x_0"], observables=[operator])
    assert config.observables == ["Z0"]
    with pytest.raises(CircuitError, match="two parameters are the same feature"):
        ModelConfig(circuit=text, observables=[operator])

"""What a model is trained for: the loss of each task, and what compression has no place for."""

from __future__ import annotations

import pytest

from qstore_ray.errors import CircuitError, ConfigError
from qstore_ray.learn.config import ModelConfig
from qstore_ray.learn.goal import Goal, goal_of
from qstore_ray.learn.model import QuantumModel, build_model

COMPRESSION = {"loss": "compression", "head": "none", "trash_qubits": [1, 2]}


def _model(n_qubits: int = 3, **fields) -> QuantumModel:
    config = ModelConfig(**{"n_qubits": n_qubits, "layers": 1, **fields})
    return build_model(config, n_features=n_qubits, n_classes=3)


@pytest.mark.parametrize(
    ("task", "n_targets", "expected"),
    [
        ("classification", 2, Goal("binary_cross_entropy", 1)),
        ("classification", 3, Goal("cross_entropy", 3)),
        ("classification", 1, Goal("cross_entropy", 1)),
        ("multilabel", 2, Goal("multilabel_cross_entropy", 2)),
        ("multilabel", 5, Goal("multilabel_cross_entropy", 5)),
        ("regression", 1, Goal("mse", 1)),
        ("regression", 2, Goal("mse", 2)),
    ],
)
def test_the_loss_of_a_task(task, n_targets, expected):
    assert goal_of(ModelConfig(), task, n_targets) == expected
    written = ModelConfig(loss=expected.loss)
    if expected.loss != "binary_cross_entropy" or n_targets == 2:
        assert goal_of(written, task, n_targets) == expected


@pytest.mark.parametrize("task", ["classification", "multilabel", "regression"])
@pytest.mark.parametrize("loss", ["compression", "compression_local"])
def test_compression_fits_every_task_and_has_one_output(task, loss):
    assert goal_of(ModelConfig(loss=loss), task, 4) == Goal(loss, 1)


@pytest.mark.parametrize("loss", ["hinge", "binary_cross_entropy"])
@pytest.mark.parametrize("n_classes", [1, 3])
def test_a_loss_of_two_classes_takes_two(loss, n_classes):
    with pytest.raises(
        ConfigError, match=f"{loss} needs 2 classes, the data have {n_classes}"
    ) as caught:
        goal_of(ModelConfig(loss=loss), "classification", n_classes)
    assert (caught.value.field, caught.value.value) == ("model.loss", loss)
    assert caught.value.fix == "Take cross_entropy."


def test_a_loss_of_another_task_is_refused():
    with pytest.raises(ConfigError, match="this loss does not fit regression") as caught:
        goal_of(ModelConfig(loss="hinge"), "regression", 1)
    assert (caught.value.field, caught.value.value) == ("model.loss", "hinge")
    assert caught.value.fix == "Take loss = 'auto'."


def test_an_observable_of_a_qubit_that_is_not_there_is_refused_and_the_last_one_is_taken():
    assert _model(observables=["Z2"]).observables[0].label == "Z2"
    with pytest.raises(CircuitError, match="acts on qubit 3, the circuit has 3 qubits") as caught:
        _model(observables=["Z0", "Z3"])
    assert caught.value.value == "Z3"
    assert caught.value.fix == "Use qubits 0 to 2."


@pytest.mark.parametrize(
    ("fields", "field", "value", "part"),
    [
        ({"loss": "auto"}, "trash_qubits", (1, 2), "belong to the loss compression"),
        ({"trash_qubits": [0, 1, 2]}, "trash_qubits", (0, 1, 2), "some but not all of the 3"),
        ({"trash_qubits": []}, "trash_qubits", (), "some but not all of the 3"),
        ({"trash_qubits": [1, 1]}, "trash_qubits", (1, 1), "different trash qubits"),
        ({"trash_qubits": [1, 3]}, "trash_qubits", (1, 3), "some but not all of the 3"),
        ({"head": "linear"}, "head", "linear", "no layer comes after it"),
        ({"post_layers": [3]}, "post_layers", None, "no layer comes after it"),
        ({"observables": "x"}, "observables", "x", "nothing else"),
        ({"observables": ["Z0"]}, "observables", None, "nothing else"),
    ],
    ids=str,
)
def test_what_compression_has_no_place_for_is_refused_by_name(fields, field, value, part):
    with pytest.raises(ConfigError) as caught:
        _model(**{**COMPRESSION, **fields})
    assert caught.value.field.removeprefix("model.") == field
    assert part in str(caught.value)
    if value is not None:
        found = caught.value.value
        assert (tuple(found) if isinstance(value, tuple) else found) == value


@pytest.mark.parametrize("loss", ["compression", "compression_local"])
def test_the_trash_qubits_are_measured_and_the_last_may_be_one(loss):
    (observable,) = _model(**{**COMPRESSION, "loss": loss, "trash_qubits": [2]}).observables
    assert observable.label == "0.5*I + 0.5*Z2"
    (two,) = _model(**{**COMPRESSION, "loss": loss}).observables
    assert ("Z1 Z2" in two.label) == (loss == "compression")


@pytest.mark.parametrize("n_trash", [10, 11])
def test_a_projector_of_more_than_ten_qubits_is_refused(n_trash):
    fields = {**COMPRESSION, "trash_qubits": list(range(n_trash)), "ansatz": "real_amplitudes"}
    if n_trash == 10:
        assert _model(12, **fields).observables[0].n_qubits == 10
        return
    with pytest.raises(ConfigError, match="at most 10 trash qubits") as caught:
        _model(12, **fields)
    assert caught.value.fix == "Take loss = 'compression_local'."
    assert _model(12, **{**fields, "loss": "compression_local"}).observables[0].n_qubits == 11

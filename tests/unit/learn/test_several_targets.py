"""A trained model of several labels or numbers, and of compression: what it predicts and scores."""

from __future__ import annotations

import numpy as np
import pytest

from qstore_ray.backends.statevector import StatevectorBackend
from qstore_ray.baseline import linear_baseline
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.data.read.dataset import Dataset
from qstore_ray.errors import UsageError
from qstore_ray.learn import step
from qstore_ray.learn.config import ModelConfig
from qstore_ray.learn.gradients import get_gradient
from qstore_ray.learn.model import build_model
from qstore_ray.learn.optimizers import get_optimizer
from qstore_ray.train.model.modelfile import model_manifest, preparation_arrays
from qstore_ray.train.model.trained import TrainedModel
from qstore_ray.train.run.checkpoint import write_checkpoint

RNG = np.random.default_rng(0)
X = RNG.uniform(-1.5, 1.5, (120, 3))
LABELS = (np.sin(X) > 0).astype(int)
ERRORS = ("r2", "mae", "rmse", "mse")
NUMBERS = np.stack([np.sin(X[:, 0]), np.cos(X[:, 1])], axis=1)


def _data(y: np.ndarray, task: str) -> Dataset:
    return DatasetLoader.from_arrays(X, y, task=task, preprocessing=[{"name": "standard"}])


def _trained(dataset: Dataset, config: ModelConfig, folder, steps: int = 120) -> TrainedModel:
    """Adam on all training rows, a checkpoint, and the model read from it."""
    model = build_model(
        config,
        n_features=dataset.schema.n_features,
        n_classes=len(dataset.classes) or None,
        task=dataset.config.task,
        n_targets=dataset.schema.n_targets,
    )
    backend = StatevectorBackend()
    optimizer, method = get_optimizer("adam", {}), get_gradient("auto", backend)
    theta, (x, y) = model.initial(0), dataset.materialize("train")
    state = optimizer.init(theta)
    for _ in range(steps):
        sums = step.total(step.value_and_grad(model, theta, x, y, backend, method))
        theta, state = optimizer.update(state, theta, sums.gradient / sums.n_rows, 0.05)
    arrays = {"theta": theta, **preparation_arrays(dataset)}
    manifest = {"model": model_manifest(config, dataset)}
    write_checkpoint(folder / "checkpoints", 1, arrays, manifest)
    return TrainedModel.load(folder, backend)


def test_a_model_of_several_labels_predicts_each_and_is_scored(tmp_path):
    dataset = _data(LABELS, "multilabel")
    model = _trained(dataset, ModelConfig(n_qubits=3, layers=1), tmp_path)
    assert model.model.loss_name == "multilabel_cross_entropy"
    scores = model.evaluate(dataset, "test")
    averaged = {"f1_macro", "roc_auc", "average_precision", "log_loss"}
    recalls = {"recall_0", "recall_1", "recall_2"}
    assert set(scores) == {"loss", "accuracy", "hamming", *averaged, *recalls}
    rows = dataset.rows("test")
    predicted, chances = model.predict(X[rows]), model.predict_proba(X[rows])
    np.testing.assert_array_equal(predicted, chances > 0.5)
    right = predicted == LABELS[rows]
    assert scores["accuracy"] == pytest.approx(right.all(axis=1).mean())
    assert scores["hamming"] == pytest.approx(right.mean())
    assert 0.8 < scores["accuracy"] <= scores["hamming"]
    assert not model.tells_classes


def test_a_model_of_several_numbers_predicts_them_all(tmp_path):
    dataset = _data(NUMBERS, "regression")
    config = ModelConfig(n_qubits=3, layers=1, reuploading=True, pre_layers=[3])
    model = _trained(dataset, config, tmp_path)
    rows = dataset.rows("test")
    predicted = model.predict(X[rows])
    scores = model.evaluate(dataset, "test")
    assert set(scores) == {"loss", "r2", "mae", "rmse", "mse"}
    assert scores["mse"] == pytest.approx(scores["loss"])
    assert scores["loss"] == pytest.approx(((predicted - NUMBERS[rows]) ** 2).mean())
    assert scores["loss"] < 0.2 * NUMBERS.var(axis=0).mean()


def test_compression_of_classes_is_scored_by_its_fidelity(tmp_path):
    dataset = _data(np.arange(120) % 3, "classification")
    fields = {"loss": "compression", "head": "none", "trash_qubits": [2]}
    model = _trained(dataset, ModelConfig(n_qubits=3, layers=1, **fields), tmp_path, steps=5)
    scores = model.evaluate(dataset, "test")
    assert set(scores) == {"loss", "fidelity"}
    predicted = model.predict(X[dataset.rows("test")])
    assert scores["fidelity"] == pytest.approx(predicted.mean())
    assert 0.0 <= scores["fidelity"] <= 1.0


def test_hinge_is_for_two_classes(tmp_path):
    dataset = _data(np.arange(120) % 3, "classification")
    with pytest.raises(UsageError, match="2 classes") as caught:
        _trained(dataset, ModelConfig(n_qubits=3, loss="hinge"), tmp_path)
    assert caught.value.field == "model.loss"


def test_hinge_has_classes_but_no_probabilities(tmp_path):
    dataset = _data(LABELS[:, 0], "classification")
    config = ModelConfig(n_qubits=3, layers=1, loss="hinge")
    model = _trained(dataset, config, tmp_path)
    assert model.evaluate(dataset, "test")["accuracy"] > 0.8
    assert model.confusion(dataset, "test").sum() == dataset.sizes["test"]
    with pytest.raises(UsageError, match="auto") as caught:
        model.predict_proba(X)
    assert caught.value.value == "hinge"


def test_several_labels_have_no_confusion_matrix(tmp_path):
    dataset = _data(LABELS, "multilabel")
    model = _trained(dataset, ModelConfig(n_qubits=3, layers=1), tmp_path, steps=1)
    with pytest.raises(UsageError, match="one class a row") as caught:
        model.confusion(dataset, "test")
    assert caught.value.value == "multilabel_cross_entropy"


def test_the_baseline_of_several_labels_is_one_regression_for_each():
    found = linear_baseline(_data(LABELS, "multilabel"))
    assert found.metric == "accuracy"
    assert 0.6 < found.metrics["baseline_accuracy"] <= 1.0
    assert found.metrics["majority_hamming"] < found.metrics["baseline_hamming"]
    numbers = linear_baseline(_data(NUMBERS, "regression")).metrics
    expected = [f"{part}_{name}" for part in ("baseline", "mean") for name in ERRORS]
    assert sorted(numbers) == sorted(expected)
    assert numbers["mean_r2"] <= 0.0 < numbers["baseline_r2"]

"""A trained model: predicts, is scored, and is loaded again from a run's checkpoint.

A checkpoint holds all of it: parameters, the fitted preparation of raw rows, the classes, and the
circuit (by name, or as OpenQASM 3). So a model can be used where the training data are not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from qstore_ray.backends import open_backend
from qstore_ray.backends.base import Backend
from qstore_ray.data.dataset import Dataset
from qstore_ray.data.prepare import Preparation
from qstore_ray.errors import CheckpointError, DataError, UsageError
from qstore_ray.learn import step
from qstore_ray.learn.config import ModelConfig
from qstore_ray.learn.losses import hamming
from qstore_ray.learn.model import QuantumModel, build_model
from qstore_ray.train.checkpoint import Checkpoint, latest_checkpoint, read_checkpoint

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, FloatArray

_PREPARATION = "preparation."


@dataclass(frozen=True)
class TrainedModel:
    """A model with its parameters, and what turns raw rows into its features.

    Attributes:
        model: the function. theta: its parameters (P + head,).
        preparation: raw rows (N, …) to features (N, F), as fitted on the training rows.
        classes: the label of each class number, or the name of each of several labels; empty for a
            regression.
        backend: where circuits are evaluated.
    """

    model: QuantumModel
    theta: FloatArray
    preparation: Preparation
    classes: tuple[Any, ...]
    backend: Backend

    @classmethod
    def load(cls, path: str | Path, backend: Backend | None = None) -> TrainedModel:
        """The model of a run folder (its newest checkpoint) or of one checkpoint folder.

        Raises:
            CheckpointError: there is no readable checkpoint.
        """
        checkpoint = _find(Path(path))
        about = checkpoint.manifest["model"]
        model = build_model(
            ModelConfig.from_dict(about["config"]),
            n_features=about["n_features"],
            n_classes=len(about["classes"]) or None,
            task=about.get("task"),
            n_targets=about.get("n_targets", 1),
        )
        own = {
            name.removeprefix(_PREPARATION): array
            for name, array in checkpoint.arrays.items()
            if name.startswith(_PREPARATION)
        }
        return cls(
            model,
            checkpoint.arrays["theta"],
            Preparation.from_arrays(own, about["preparation"]),
            tuple(about["classes"]),
            backend or open_backend("statevector", {}),
        )

    def outputs(self, raw: AnyArray) -> FloatArray:
        """The model's outputs (N, K) for raw rows (N, …): scores, or predicted values.

        Raises:
            DataError: a wrong width, NaN or infinity.
        """
        return step.outputs_of(self.model, self.theta, self._features(raw), self.backend)

    def predict(self, raw: AnyArray) -> AnyArray:
        """Labels (N,) of raw rows (N, …), as they were in the data.

        Several labels are rows (N, T) of 0 and 1; a regression gives values (N,) or (N, T), and
        compression the probability (N,) that the trash qubits are all 0.
        """
        return self._labels(self.model.loss.predict(self.outputs(raw)))

    def predict_proba(self, raw: AnyArray) -> FloatArray:
        """Class probabilities (N, classes) of raw rows (N, …), in the order of `classes`.

        Of several labels, each has a probability of its own.

        Raises:
            UsageError: the model is a regression, or its loss gives no probabilities.
        """
        if not self.classes:
            raise UsageError("a regression has no class probabilities", fix="Use predict.")
        chances = self.model.loss.probabilities
        if chances is None:
            raise UsageError(
                f"a model trained with {self.model.loss_name} has no class probabilities",
                field="model.loss",
                value=self.model.loss_name,
                fix="Use predict, or train with loss = 'auto'.",
            )
        return chances(self.outputs(raw))

    def evaluate(self, dataset: Dataset, split: str = "test") -> dict[str, float]:
        """Mean loss on a split, and what the task is judged by.

        `accuracy` for classes; for several labels the share of rows with all of them right, and
        `hamming`, the share of labels that are right; `fidelity` for compression: 1 − loss.

        Raises:
            DataError: the data have other features or classes than the model.
        """
        x, y = self._rows(dataset, split)
        loss, count, correct = step.evaluate(self.model, self.theta, x, y, self.backend).sum(axis=0)
        scores, how = {"loss": float(loss / count)}, self.model.loss
        if how.classification:
            scores["accuracy"] = float(correct / count)
        if how.goal == "multilabel":
            outputs = step.outputs_of(self.model, self.theta, x, self.backend)
            scores["hamming"] = float(hamming(how.predict(outputs), y).mean())
        if how.goal == "compression":
            scores["fidelity"] = 1.0 - scores["loss"]
        return scores

    @property
    def tells_classes(self) -> bool:
        """Whether a prediction is one class a row, so that there is a confusion matrix."""
        return self.model.loss.goal == "classification"

    def confusion(self, dataset: Dataset, split: str = "test") -> AnyArray:
        """Counts (classes, classes) of true class by predicted class on a split.

        Raises:
            UsageError: a prediction is not one class a row, see `tells_classes`.
        """
        if not self.tells_classes:
            raise UsageError(
                "a confusion matrix is of models that tell one class a row",
                field="model.loss",
                value=self.model.loss_name,
                fix="Use evaluate.",
            )
        x, y = self._rows(dataset, split)
        outputs = step.outputs_of(self.model, self.theta, x, self.backend)
        matrix = np.zeros((len(self.classes), len(self.classes)), np.int64)
        np.add.at(matrix, (y, self.model.loss.predict(outputs)), 1)
        return matrix

    def _features(self, raw: AnyArray) -> FloatArray:
        return self.preparation.transform(raw)

    def _labels(self, predicted: AnyArray) -> AnyArray:
        return np.array(self.classes)[predicted] if self.tells_classes else predicted

    def _rows(self, dataset: Dataset, split: str) -> tuple[FloatArray, AnyArray]:
        if tuple(dataset.classes) != self.classes:
            raise DataError(
                f"the data have other classes than the model's {self.classes}",
                field="dataset",
                value=dataset.classes,
            )
        x, y = dataset.materialize(split)
        return x, y


def model_manifest(config: ModelConfig, dataset: Dataset) -> dict[str, Any]:
    """What a checkpoint says about the model, JSON-ready; `TrainedModel.load` reads it."""
    return {
        "config": config.to_dict(),
        "n_features": dataset.schema.n_features,
        "classes": list(dataset.classes),
        "task": dataset.config.task,
        "n_targets": dataset.schema.n_targets,
        "preparation": dataset.preparation.spec(),
    }


def preparation_arrays(dataset: Dataset) -> Mapping[str, AnyArray]:
    """The fitted preparation as arrays of a checkpoint."""
    return {_PREPARATION + name: array for name, array in dataset.preparation.to_arrays().items()}


def _find(path: Path) -> Checkpoint:
    if (path / "manifest.json").exists():
        return read_checkpoint(path)
    found, problems = latest_checkpoint(path / "checkpoints")
    if found is None:
        raise CheckpointError(
            "there is no checkpoint here",
            field="run",
            value=str(path),
            fix="Give a run folder such as runs/digits; `qstore runs` lists them.",
        ) from (problems[0] if problems else None)
    return found

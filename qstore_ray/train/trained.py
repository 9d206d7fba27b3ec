"""A trained model: predicts, is scored, is saved as one file, and is loaded again.

A checkpoint holds all of it: parameters, the fitted preparation of raw rows, the classes, and the
circuit (by name, or as OpenQASM 3). So a model can be used where the training data are not. `save`
puts the same into one `.qsm` file to hand on (`modelfile.py`); either gives the same predictions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from qstore_ray.backends import open_backend
from qstore_ray.backends.base import Backend
from qstore_ray.data.dataset import Dataset
from qstore_ray.data.prepare import Preparation
from qstore_ray.errors import DataError, UsageError, numbered
from qstore_ray.learn import step
from qstore_ray.learn.config import ModelConfig
from qstore_ray.learn.losses import hamming
from qstore_ray.learn.model import QuantumModel
from qstore_ray.train.archive import SUFFIX, check_suffix, read_bytes, write_bytes
from qstore_ray.train.checkpoint import find_checkpoint
from qstore_ray.train.modelfile import PREPARATION, THETA, described_model, read_model, write_model
from qstore_ray.train.origin import Origin, data_origin, origin_of, with_run

if TYPE_CHECKING:
    import ray.data

    from qstore_ray.types import AnyArray, FloatArray


@dataclass(frozen=True)
class TrainedModel:
    """A model with its parameters, and what turns raw rows into its features.

    Attributes:
        model: the function. theta: its parameters (P + head,).
        preparation: raw rows (N, …) to features (N, F), as fitted on the training rows.
        classes: the label of each class number, or the name of each of several labels; empty for a
            regression.
        backend: where circuits are evaluated.
        about: what a checkpoint says under `model`: config, n_features, classes, preparation.
        origin: where it comes from, as far as it was known when it was loaded.
        checkpoint: the folder it was loaded from; None for a model file.
    """

    model: QuantumModel
    theta: FloatArray
    preparation: Preparation
    classes: tuple[Any, ...]
    backend: Backend
    about: Mapping[str, Any] = field(repr=False)
    origin: Origin = field(repr=False)
    checkpoint: Path | None = field(default=None, repr=False)

    @classmethod
    def load(cls, path: str | Path, backend: Backend | None = None) -> TrainedModel:
        """The model of a run folder (its newest checkpoint), a checkpoint folder or a `.qsm` file.

        Args:
            backend: where circuits are evaluated; without it exactly, in this process.

        Raises:
            CheckpointError: there is no readable checkpoint, or no sound model file.
        """
        path = Path(path).expanduser()
        if path.suffix == SUFFIX and not path.is_dir():
            return cls.from_bytes(read_bytes(path), backend)
        checkpoint = find_checkpoint(path)
        about = checkpoint.manifest["model"]
        model = described_model(about)
        own = {
            name.removeprefix(PREPARATION): array
            for name, array in checkpoint.arrays.items()
            if name.startswith(PREPARATION)
        }
        return cls(
            model,
            checkpoint.arrays[THETA],
            Preparation.from_arrays(own, about["preparation"]),
            tuple(about["classes"]),
            backend or open_backend("statevector", {}),
            about,
            origin_of(checkpoint.manifest, checkpoint.path),
            checkpoint.path,
        )

    @classmethod
    def from_bytes(cls, data: bytes, backend: Backend | None = None) -> TrainedModel:
        """The model in the bytes of a `.qsm` file.

        Raises:
            CheckpointError: they are not exactly what `to_bytes` gave.
        """
        found = read_model(data)
        return cls(
            found.model,
            found.theta,
            found.preparation,
            tuple(found.about["classes"]),
            backend or open_backend("statevector", {}),
            found.about,
            found.origin,
        )

    def to_bytes(self) -> bytes:
        """The model as the bytes of a `.qsm` file; the same model gives the same bytes.

        Raises:
            CircuitError: a circuit of the user's own that cannot be written as OpenQASM.
        """
        states = self.preparation.to_arrays().items()
        arrays = {THETA: self.theta, **{PREPARATION + name: array for name, array in states}}
        return write_model(self.about, self.model, arrays, self.known_origin())

    def save(self, path: str | Path) -> Path:
        """Write the model into one `.qsm` file, whole or not at all; the path.

        Raises:
            UsageError: another ending, or a file that cannot be written.
            CircuitError: a circuit of the user's own that cannot be written as OpenQASM.
        """
        path = Path(path).expanduser()
        check_suffix(path)
        write_bytes(path, self.to_bytes())
        return path

    def known_origin(self) -> Origin:
        """Where it comes from, as it is known now: a run may have ended since it was loaded."""
        return with_run(self.origin, self.checkpoint) if self.checkpoint else self.origin

    def outputs(self, raw: AnyArray) -> FloatArray:
        """The model's outputs (N, K) for raw rows (N, …): scores, or predicted values.

        Raises:
            DataError: a wrong width, NaN or infinity.
        """
        return step.outputs_of(
            self.model, self.theta, self.preparation.transform(raw), self.backend
        )

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

    def predictions(self, rows: AnyArray, *, prepared: bool = False) -> dict[str, AnyArray]:
        """Columns by name: `prediction`, and `probability` where `predict_proba` gives some.

        Args:
            rows: raw rows (N, …), or with `prepared` features (N, F) as a dataset's split has them.
        """
        x = rows if prepared else self.preparation.transform(rows)
        outputs = step.outputs_of(self.model, self.theta, x, self.backend)
        columns = {"prediction": self._labels(self.model.loss.predict(outputs))}
        chances = self.model.loss.probabilities if self.classes else None
        return {**columns, "probability": chances(outputs)} if chances else columns

    def predict_dataset(
        self,
        rows: Dataset | ray.data.Dataset,
        split: str = "test",
        *,
        num_workers: int = 1,
        batch_size: int = 1024,
    ) -> ray.data.Dataset:
        """Predictions of many rows by `num_workers` actors of a running Ray, lazily.

        Args:
            rows: a dataset, of which `split` is taken (its rows are prepared already), or a Ray
                dataset with raw rows in the column `x`.
            batch_size: rows that an actor is given at a time; it changes no bit of the result.

        Returns:
            What `rows` has beside `x`, with columns `prediction` and, for a classification,
            `probability` (classes,). Blocks may come in any order; `row` says which is which.

        Raises:
            UsageError: Ray is not running, or no worker was asked for.
        """
        from qstore_ray.train.ray_predict import predict_on_ray  # Ray only where it is used

        prepared = isinstance(rows, Dataset)
        found = rows.to_ray(split) if isinstance(rows, Dataset) else rows
        return predict_on_ray(
            self, found, prepared=prepared, num_workers=num_workers, batch_size=batch_size
        )

    def evaluate(self, dataset: Dataset, split: str = "test") -> dict[str, float]:
        """Mean loss on a split, and what the task is judged by.

        `accuracy` for classes; for several labels the share of rows with all of them right, and
        `hamming`, the share of labels that are right; `fidelity` for compression: 1 − loss.

        Raises:
            DataError: the data have other features or classes than the model.
        """
        x, y = self._rows(dataset, split)
        with numbered(dataset.rows(split)):
            found = step.evaluate(self.model, self.theta, x, y, self.backend)
        loss, count, correct = found.sum(axis=0)
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
        with numbered(dataset.rows(split)):
            outputs = step.outputs_of(self.model, self.theta, x, self.backend)
        matrix = np.zeros((len(self.classes), len(self.classes)), np.int64)
        np.add.at(matrix, (y, self.model.loss.predict(outputs)), 1)
        return matrix

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
        "data": data_origin(dataset),
    }


def preparation_arrays(dataset: Dataset) -> Mapping[str, AnyArray]:
    """The fitted preparation as arrays of a checkpoint."""
    return {PREPARATION + name: array for name, array in dataset.preparation.to_arrays().items()}

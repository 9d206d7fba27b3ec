"""A trained model: predicts, is scored, is saved as one file, and is loaded again.

A checkpoint holds the parameters, fitted preparation, classes and circuit, so a prediction needs no
training data. `save` writes the same to one `.qsm` file; both give the same predictions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from qstore_ray.backends import open_backend
from qstore_ray.backends.base import Backend
from qstore_ray.backends.keys import for_scoring, from_row
from qstore_ray.backends.paid_call import measured
from qstore_ray.data.inputs.frame import label_name, place_of, weights_to_score
from qstore_ray.data.inputs.labelled import label_column, labelled_dataset, split_name
from qstore_ray.data.inputs.signature import Signature, raw_rows
from qstore_ray.data.prepare.prepare import Preparation
from qstore_ray.data.read.dataset import Dataset
from qstore_ray.errors import DataError, UsageError, placed
from qstore_ray.learn import step
from qstore_ray.learn.model import QuantumModel
from qstore_ray.learn.scoring import Scoring
from qstore_ray.learn.targets import TargetScaling
from qstore_ray.train.model.archive import SUFFIX, read_bytes
from qstore_ray.train.model.evaluation import Evaluation, ScoresOf, outputs_of_split, scored
from qstore_ray.train.model.modelfile import (
    PREPARATION,
    THETA,
    described_model,
    read_model,
    write_model,
)
from qstore_ray.train.model.place import local_model, save_model
from qstore_ray.train.run.checkpoint import find_checkpoint
from qstore_ray.train.run.manifest import ModelDescription, model_description
from qstore_ray.train.run.provenance import Origin, origin_of, with_run

if TYPE_CHECKING:
    import ray.data

    from qstore_ray.types import AnyArray, FloatArray, Task


@dataclass(frozen=True)
class TrainedModel:
    """A model with its parameters, and what turns raw rows into its features.

    Attributes:
        model: the function. theta: its parameters (P + head,).
        preparation: raw rows (N, …) to features (N, F), as fitted on the training rows.
        classes: labels by class number, or the names of several labels; empty for a regression.
        backend: where circuits are evaluated.
        about: what a checkpoint's manifest says under `model`.
        origin: where it comes from, as far as it was known when it was loaded.
        checkpoint: the folder it was loaded from; None for a model file.

    Examples:
        x, y = np.linspace(0, 1, 20).reshape(10, 2), np.arange(10) % 2
        track = TrackConfig(mlflow=False, figures=False)
        trainer = QuantumTrainer(ModelConfig(n_qubits=2), TrainerConfig(epochs=1), track=track)
        result = trainer.fit(DatasetLoader.from_arrays(x, y))
        assert TrainedModel.load(result.run_dir).predict(x).shape == (10,)
    """

    model: QuantumModel = field(repr=False)
    theta: FloatArray = field(repr=False)
    preparation: Preparation = field(repr=False)
    classes: tuple[Any, ...]
    backend: Backend
    about: ModelDescription = field(repr=False)
    origin: Origin = field(repr=False)
    checkpoint: Path | None = field(default=None, repr=False)

    @classmethod
    def load(cls, path: str | Path, backend: Backend | None = None) -> TrainedModel:
        """The model of a run folder (its newest checkpoint), a checkpoint folder or a `.qsm` file.

        Args:
            path: of one of them, or its address.
            backend: where circuits are evaluated; without it exactly, in this process.

        Raises:
            UsageError: there is no such model file.
            CheckpointError: no readable checkpoint exists, or the model file is damaged.
            StorageError: the object store cannot be used.
        """
        path = local_model(path)
        if path.suffix == SUFFIX and not path.is_dir():
            return cls.from_bytes(read_bytes(path), backend)
        checkpoint = find_checkpoint(path)
        about = model_description(checkpoint.manifest.get("model", {}))
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
            for_scoring(backend or open_backend("statevector", {})),
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
            for_scoring(backend or open_backend("statevector", {})),
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

    def save(self, path: str | Path) -> Path | str:
        """Write the model into one `.qsm` file, whole or not at all; the path, or the address.

        Raises:
            StorageError: the object store cannot be used.
            UsageError: another ending, or a file that cannot be written.
            CircuitError: a circuit of the user's own that cannot be written as OpenQASM.
        """
        return save_model(path, self.to_bytes)

    def known_origin(self) -> Origin:
        """Where it comes from, as it is known now: a run may have ended since it was loaded."""
        return with_run(self.origin, self.checkpoint) if self.checkpoint else self.origin

    @cached_property
    def signature(self) -> Signature | None:
        """The columns or the image of an input; None if an earlier version trained the model."""
        kept = self.about.get("input")
        return None if kept is None else Signature.from_dict(kept)

    def raw(self, rows: Any) -> AnyArray:
        """Raw rows (N, F) or (N, …) of a table, an array or lists, as the model is given them.

        Columns of a pandas, polars or Arrow table, a dictionary or a structured array are found by
        name; others are ignored. An array is taken by position.

        Raises:
            DataError: missing or repeated columns, or a value that does not fit.
        """
        return raw_rows(rows, self.signature)

    def features(self, rows: Any) -> FloatArray:
        """Prepared features (N, F) of rows as `raw` takes them.

        Raises:
            DataError: as `raw`; a wrong width, infinity, or NaN that no step fills.
        """
        signature = self.signature
        table = None if signature is None else signature.table
        names = None if table is None else table.names
        with placed(place_of(rows)):
            return self.preparation.transform(self.raw(rows), names)

    def outputs(self, rows: Any) -> FloatArray:
        """The model's outputs (N, K) for rows as `raw` takes them: scores, or predicted values.

        Raises:
            DataError: as `features`.
        """
        return self._outputs(self.features(rows))

    @cached_property
    def targets(self) -> TargetScaling | None:
        """How the targets of a regression were scaled for training; None if they were not."""
        return TargetScaling.from_spec(self.about.get("targets"))

    def _outputs(self, x: FloatArray) -> FloatArray:
        """Outputs (N, K) for features (N, F), those of a regression in the units of the data."""
        outputs = self._measured(step.outputs_of, x)
        return outputs if self.targets is None else self.targets.undo(outputs)

    def _measured(self, outputs: Callable[..., Any], x: FloatArray, first: int = 0) -> FloatArray:
        """`outputs` of features x (N, F): on paid hardware a call with a record of its own."""
        return measured(
            self.record, from_row(self.backend, first), (self.theta, x),
            lambda backend: outputs(self.model, self.theta, x, backend),
        )  # fmt: skip

    @property
    def record(self) -> str:
        """What the name of such a record begins with: after the run, if it comes from one."""
        return f"predict-{self.checkpoint.parents[1].name}" if self.checkpoint else "predict"

    def predict(self, rows: Any) -> AnyArray:
        """Labels (N,) of rows as `raw` takes them, as they were in the data.

        Several labels are rows (N, T) of 0 and 1; a regression gives values (N,) or (N, T), and
        compression the probability (N,) that the trash qubits are all 0.
        """
        return self._labels(self.model.loss.predict(self.outputs(rows)))

    def predict_proba(self, rows: Any) -> FloatArray:
        """Class probabilities (N, classes) of rows as `raw` takes them, in the order of `classes`.

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
        return chances(self.outputs(rows))

    def predictions(self, rows: Any, *, prepared: bool = False) -> dict[str, AnyArray]:
        """Columns by name: `prediction`, and `probability` if `predict_proba` gives some.

        Args:
            rows: as `raw` takes them, or with `prepared` features (N, F) as a dataset's split has
                them.
        """
        x = rows if prepared else self.features(rows)
        outputs = self._outputs(x)
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
                dataset with the model's features as columns, or with raw rows in the column `x`.
            batch_size: rows that an actor is given at a time; it changes no bit of the result.

        Returns:
            What `rows` has beside the features or `x`, with columns `prediction` and, for a
            classification, `probability` (classes,). Blocks come in any order, named by `row`.

        Raises:
            UsageError: Ray is not running, or no worker was requested.
        """
        from qstore_ray.train.ray.predict import predict_on_ray  # Ray only where it is used

        prepared = isinstance(rows, Dataset)
        found = rows.to_ray(split) if isinstance(rows, Dataset) else rows
        return predict_on_ray(
            self, found, prepared=prepared, num_workers=num_workers, batch_size=batch_size
        )

    def labelled(
        self, rows: Any, y: Any = None, *, label: str | None = None, split: str = "test"
    ) -> Dataset:
        """Rows as `raw` takes them with their labels, as the split `split` of a dataset.

        Args:
            y: the labels (N,) or (N, T); by default a column of the table.
            label: the name of this column; by default the one that training had.

        Raises:
            DataError: as `features`; no label column, or a label that is none of the classes.
        """
        signature = self.signature
        table = None if signature is None else signature.table
        name = label or label_name(rows, table)
        return labelled_dataset(
            raw_rows(rows, signature, name if y is None else None),
            label_column(rows, name, self.classes, table) if y is None else y,
            task=self.task,
            classes=self.classes,
            class_names=tuple(self.origin.data.class_names) if self.origin.data else (),
            preparation=self.preparation,
            table=table,
            merged=() if signature is None else signature.merged,
            split=split,
            where=place_of(rows, always=y is None),
            label=name if y is None else None,
            weight=None if table is None else weights_to_score(rows, table),
        )

    @property
    def task(self) -> Task:
        """What its labels are."""
        return self.about.get("task") or ("classification" if self.classes else "regression")

    def evaluate(
        self, dataset: Any, split: str = "test", metrics: Sequence[str] | None = None
    ) -> dict[str, float]:
        """Scores of a split: `loss`, and the metrics of `learn.scoring` that fit the model.

        Instead of a dataset, a table of rows with their label column is taken, as by `labelled`.
        A metric that the rows do not define is left out; `evaluation` has the reason. The loss is
        that of training: of a regression whose targets were scaled, of scaled targets; its metrics
        are in the units of the data. For compression `fidelity` is 1 − loss.

        Args:
            metrics: names of those to compute besides loss and accuracy; None for all that fit.

        Raises:
            DataError: the data have other features or classes than the model.
            UnknownNameError: a metric that does not fit.
        """
        return self.evaluation(dataset, split, metrics).scores.values

    def evaluation(
        self, dataset: Any, split: str = "test", metrics: Sequence[str] | None = None,
        scores: ScoresOf = Scoring.scores,
    ) -> Evaluation:  # fmt: skip
        """What `evaluate` gives, with the answers behind it and what could not be computed.

        Raises:
            DataError, UnknownNameError: see `evaluate`.
        """
        if not isinstance(dataset, Dataset):
            dataset = self.labelled(dataset, split=split_name(split))
        self._check_classes(dataset)
        scoring = Scoring(self.model.loss.goal, tuple(map(str, dataset.schema.class_names)))
        scoring.check(metrics or (), "metrics")
        blocks, y = self._blocks(dataset, split)
        return scored(
            self.model, blocks, y, scoring, metrics, weight=dataset.weights(split),
            targets=self.targets, scores=scores,
        )  # fmt: skip

    def _blocks(self, dataset: Dataset, split: str) -> tuple[FloatArray, AnyArray]:
        measure = partial(self._measured, step.block_outputs)
        return outputs_of_split(measure, self.model.n_outputs, dataset, split)

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
                "a confusion matrix needs a model that predicts one class a row",
                field="model.loss",
                value=self.model.loss_name,
                fix="Use evaluate.",
            )
        self._check_classes(dataset)
        blocks, y = self._blocks(dataset, split)
        outputs = blocks.reshape(-1, self.model.n_outputs)[: len(y)]
        matrix = np.zeros((len(self.classes), len(self.classes)), np.int64)
        np.add.at(matrix, (y, self.model.loss.predict(outputs)), 1)
        return matrix

    def _labels(self, predicted: AnyArray) -> AnyArray:
        return np.array(self.classes)[predicted] if self.tells_classes else predicted

    def _check_classes(self, dataset: Dataset) -> None:
        if tuple(dataset.classes) != self.classes:
            raise DataError(
                f"the data have other classes than the model's {self.classes}",
                field="dataset",
                value=dataset.classes,
            )

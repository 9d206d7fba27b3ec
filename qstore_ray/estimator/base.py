"""What the trained estimators share: parameters, and training by the loop that jobs are trained by.

`fit` prepares the rows (`features.py`), builds the model, and calls `train.loop.run` in this
process, without a run folder: the parameters it ends with are those that `QuantumTrainer` finds
with the same configuration on the same prepared rows, bit for bit. Nothing is written to disk.

As scikit-learn wants it, `__init__` keeps its arguments as they are and `fit` checks them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split
from sklearn.utils.validation import check_is_fitted

from qstore_ray.backends.base import Backend
from qstore_ray.backends.keys import for_scoring
from qstore_ray.backends.paid import closing_run
from qstore_ray.backends.paid_call import measured
from qstore_ray.data.prepare.prepare import Preparation
from qstore_ray.errors import ConfigError
from qstore_ray.estimator.checks import check_types
from qstore_ray.estimator.features import Fitted, Reduce, fit_features, fit_own_features
from qstore_ray.estimator.parameters import (
    as_parameters,
    backend_of,
    callbacks_of,
    check_width,
    model_config,
    own_circuit,
    seed_of,
    trainer_config,
)
from qstore_ray.estimator.rows import checked_rows
from qstore_ray.learn import step
from qstore_ray.learn.config import ModelConfig
from qstore_ray.learn.model import QuantumModel, build_model
from qstore_ray.learn.targets import TargetScaling
from qstore_ray.learn.weights import check_sample_weight
from qstore_ray.train.callbacks import Callback
from qstore_ray.train.checks import scaling_of, weights_of
from qstore_ray.train.job import Assignment, TrainingRows
from qstore_ray.train.loop import loop
from qstore_ray.train.loop.reducer import LocalReducer
from qstore_ray.train.loop.reporter import LocalReporter
from qstore_ray.train.loop.validation import asked_metrics

if TYPE_CHECKING:
    from qstore_ray.track.base import Record
    from qstore_ray.types import AnyArray, FloatArray, ReadOnlyTable, Table


class TrainedEstimator(BaseEstimator, ABC):  # type: ignore[misc]  # scikit-learn has no types
    """A model that is trained by gradients. Subclasses say what its outputs mean.

    Args:
        encoding, ansatz, entanglement, reuploading, input_scaling, observables: of the circuit,
            see `ModelConfig`. n_layers: its `layers`.
        circuit, features: a circuit of your own in place of encoding and ansatz, and which of its
            parameters are data, see `ModelConfig`. Features are scaled to [0, π].
        model_options: further fields of it, such as `{"pre_layers": [8, 4], "loss": "huber"}`.
        n_qubits: None takes as many as the features need, 8 at most; see `estimator.features`.
        scale_features: bring every feature into the encoding's range, as seen in `fit`
            (with `pre_layers`: to mean 0 and variance 1).
        reduce: `pca` projects features that do not fit on the qubits; None refuses them.
        learning_rate, epochs, batch_size, optimizer, optimizer_options, schedule,
            schedule_options: see `TrainerConfig`.
        trainer_options: further fields of it, such as `{"batches": "balanced", "clip_norm": 1.0}`.
        class_weight: of a classifier: None, `balanced`, or a weight for each label, see
            `learn.weights`.
        early_stopping: hold rows out and stop when their loss has not improved by `tol` for
            `n_iter_no_change` epochs; the parameters of the best epoch are kept.
        validation_fraction: the share of rows that is held out.
        warm_start: begin `fit` with the parameters of the last one, not with random ones. Features
            keep their scaling, and the optimizer begins anew.
        callbacks: objects or tables, see `train.callbacks`.
        backend: a name, with `backend_options`, or a backend.
        n_threads: of the simulator; the result does not depend on it.
        random_state: of initial parameters, the order of rows and those held out.
        verbose: write a line an epoch to stdout.
    """

    preparation_: Preparation
    n_qubits_: int
    model_: QuantumModel
    theta_: FloatArray
    n_parameters_: int
    loss_curve_: list[float]
    n_iter_: int
    validation_scores_: list[float] | None
    target_scaling_: TargetScaling | None
    _width: int

    def __init__(
        self,
        *,
        circuit: Any = None,
        features: Any = None,
        encoding: str = "angle",
        ansatz: str = "hardware_efficient",
        n_qubits: int | None = None,
        n_layers: int = 2,
        entanglement: str = "ring",
        reuploading: bool = False,
        input_scaling: bool = False,
        observables: str | Sequence[str] = "z",
        model_options: ReadOnlyTable | None = None,
        scale_features: bool = True,
        reduce: Reduce = "pca",
        learning_rate: float = 0.1,
        epochs: int = 30,
        batch_size: int = 32,
        optimizer: str = "adam",
        optimizer_options: ReadOnlyTable | None = None,
        schedule: str = "cosine",
        schedule_options: ReadOnlyTable | None = None,
        trainer_options: ReadOnlyTable | None = None,
        class_weight: Mapping[Any, float] | Literal["balanced"] | None = None,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        tol: float = 1e-4,
        warm_start: bool = False,
        callbacks: Sequence[Callback | Table] | None = None,
        backend: str | Backend = "statevector",
        backend_options: ReadOnlyTable | None = None,
        n_threads: int = 1,
        random_state: int | np.random.RandomState | None = None,
        verbose: bool | int = False,
    ) -> None:
        self.circuit = circuit
        self.features = features
        self.encoding = encoding
        self.ansatz = ansatz
        self.n_qubits = n_qubits
        self.n_layers = n_layers
        self.entanglement = entanglement
        self.reuploading = reuploading
        self.input_scaling = input_scaling
        self.observables = observables
        self.model_options = model_options
        self.scale_features = scale_features
        self.reduce = reduce
        self.learning_rate = learning_rate
        self.epochs = epochs
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.optimizer_options = optimizer_options
        self.schedule = schedule
        self.schedule_options = schedule_options
        self.trainer_options = trainer_options
        self.class_weight = class_weight
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.warm_start = warm_start
        self.callbacks = callbacks
        self.backend = backend
        self.backend_options = backend_options
        self.n_threads = n_threads
        self.random_state = random_state
        self.verbose = verbose

    def _continues(self) -> bool:
        """Whether `fit` goes on from the parameters of the last one."""
        return bool(self.warm_start) and hasattr(self, "theta_")

    def _train(
        self, x: FloatArray, y: AnyArray, classes: Sequence[Any], weight: FloatArray | None
    ) -> None:
        """Train on checked rows x (N, F), y (N,); sets what is known of the model afterwards.

        Args:
            classes: the label of each class number; empty for a regression.
            weight: of each row (N,), above 0.
        """
        continues = self._continues()
        seed = seed_of(self.random_state)
        with as_parameters():
            trainer = trainer_config(self, seed)
            callbacks, backend = callbacks_of(self), backend_of(self)
            config = model_config(self)
            if not continues:
                self.preparation_, self.n_qubits_, self._width = self._fit_features(x, config)
            config = config.model_copy(update={"n_qubits": self.n_qubits_})
            check_width(self.observables, self.n_qubits_)
            model = build_model(config, n_features=self._width, n_classes=len(classes) or None)
            if not continues:
                self.target_scaling_ = scaling_of(model, trainer, y, weight)
            weight = weights_of(model, trainer, y, classes, weight)
        start = self._start(model) if continues else None
        if self.target_scaling_ is not None:
            y = self.target_scaling_.apply(y)
        rows = self._rows(self.preparation_.apply(x), y, weight, seed, stratify=bool(classes))
        names = tuple(map(str, classes))
        with as_parameters():
            metrics = asked_metrics(model, trainer, callbacks, rows, names)
        job = Assignment(
            model=model,
            theta=start,
            config=trainer, run_dir=None, generation=0, manifest={}, arrays={},
            threads=self.n_threads, callbacks=callbacks, backend=backend,
            targets=self.target_scaling_, metrics=metrics, class_names=names,
        )  # fmt: skip
        with closing_run(trainer.backend, backend, job.identity.run):
            outcome = loop.run(job, rows, LocalReducer(), LocalReporter())
        self.model_, self.theta_ = model, outcome.theta
        self.n_parameters_ = model.n_parameters
        earlier = self.loss_curve_ if continues else []
        self.loss_curve_ = [*earlier, *(record["train_loss"] for record in outcome.records)]
        self.n_iter_ = len(self.loss_curve_)
        self._keep_scores(outcome.records, rows, continues=continues)

    def _fit_features(self, x: FloatArray, config: ModelConfig) -> Fitted:
        layers_end = config.pre_layers[-1] if config.pre_layers else None
        own = own_circuit(config)
        if own is not None:
            return fit_own_features(
                x, own, scale=self.scale_features, reduce=self.reduce, layers_end=layers_end
            )
        return fit_features(
            x, encoding=self.encoding, n_qubits=self.n_qubits,
            scale=self.scale_features, reduce=self.reduce, layers_end=layers_end,
        )  # fmt: skip

    def _keep_scores(
        self, records: Sequence[Record], rows: TrainingRows, *, continues: bool
    ) -> None:
        earlier = getattr(self, "validation_scores_", None) if continues else None
        if len(rows.y_val):
            scores = [self._validation_score(record, rows) for record in records]
            self.validation_scores_ = [*(earlier or []), *scores]
        elif not continues:
            self.validation_scores_ = None

    @abstractmethod
    def _validation_score(self, record: Record, rows: TrainingRows) -> float:
        """What `score` would say of the rows held out, in the epoch of `record`."""

    def _outputs(self, x: Any) -> FloatArray:
        """The model's outputs (N, K) for rows x (N, F) as a user gives them."""
        check_is_fitted(self)
        rows = checked_rows(self, x, reset=False)
        features = self.preparation_.apply(rows)
        backend = for_scoring(backend_of(self))
        return measured(
            "predict", backend, (self.theta_, features),
            lambda bound: step.outputs_of(self.model_, self.theta_, features, bound),
        )  # fmt: skip

    # ------------------------------------------------------------------------------------- the rows

    def _rows(
        self, x: FloatArray, y: AnyArray, weight: FloatArray | None, seed: int, *, stratify: bool
    ) -> TrainingRows:
        if not self.early_stopping:
            return TrainingRows(x, y, x[:0], y[:0], weight=weight)
        fraction = self.validation_fraction
        parts = (x, y, np.arange(len(x)), *(() if weight is None else (weight,)))
        try:
            x, x_val, y, y_val, row, row_val, *weights = train_test_split(
                *parts, test_size=fraction, random_state=seed, stratify=y if stratify else None
            )
        except ValueError as exc:
            raise ConfigError(
                f"these rows cannot be held out for early stopping: {exc}",
                field="validation_fraction",
                value=fraction,
                fix="Take a share between 0 and 1 that leaves rows of every class on both sides, "
                "or early_stopping=False.",
            ) from exc
        return TrainingRows(x, y, x_val, y_val, row, row_val, *weights)

    def _start(self, model: QuantumModel) -> FloatArray:
        if model.n_parameters != len(self.theta_):
            raise ConfigError(
                f"the last fit left {len(self.theta_)} parameters, the model now has "
                f"{model.n_parameters}",
                field="warm_start",
                value=True,
                fix="Set warm_start=False when the circuit or the classes change.",
            )
        start: FloatArray = self.theta_
        return start


def rows_that_count(
    x: FloatArray, y: AnyArray, sample_weight: Any
) -> tuple[FloatArray, AnyArray, FloatArray | None, AnyArray]:
    """The rows x (N, F), y (N,) with a weight above 0, their weights, and their numbers.

    A row of weight 0 is as if it were not there: it sets no scale and adds no class.

    Raises:
        ConfigError: see `check_sample_weight`.
    """
    if sample_weight is None:
        return x, y, None, np.arange(len(x))
    weight = check_sample_weight(sample_weight, len(x))
    (kept,) = np.nonzero(weight)
    return x[kept], y[kept], weight[kept], kept

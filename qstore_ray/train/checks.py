"""What is checked before anything of a run is written: that the parts fit each other."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from qstore_ray.backends.base import Backend, can_describe_itself
from qstore_ray.backends.mitigation.unused import unused_mitigation
from qstore_ray.backends.noise.placed import unused_noise
from qstore_ray.config import Config
from qstore_ray.data.read.dataset import Dataset
from qstore_ray.errors import ConfigError, DataError, QStoreError, UsageError, numbered, under
from qstore_ray.learn.config import ModelConfig
from qstore_ray.learn.gradients import get_gradient
from qstore_ray.learn.model import QuantumModel, build_model
from qstore_ray.learn.schedules import Horizon, get_schedule
from qstore_ray.learn.targets import TargetScaling
from qstore_ray.learn.weights import check_sample_weight, row_weights
from qstore_ray.train.callbacks.base import Callback
from qstore_ray.train.config import TrainerConfig
from qstore_ray.train.job import AnyRows, StreamedRows, TrainingRows
from qstore_ray.train.loop.member_checks import check_member, naming_fallback
from qstore_ray.train.loop.source import batches_of
from qstore_ray.train.loop.streamed import check_streams, streamed_rows
from qstore_ray.train.loop.validation import asked_metrics
from qstore_ray.train.privacy.steps import check_privacy

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, FloatArray

C = TypeVar("C", bound=Config)
_log = logging.getLogger(__name__)


class Checked(NamedTuple):
    """What a training is of: `Assignment` says what each is."""

    model: QuantumModel
    rows: AnyRows
    targets: TargetScaling | None
    metrics: tuple[str, ...]

    @property
    def held(self) -> TrainingRows:
        """The rows, where they are in memory.

        Raises:
            ConfigError: they are streamed.
        """
        if isinstance(self.rows, StreamedRows):
            raise ConfigError(
                "a forecast needs all rows in memory, and they are streamed",
                field="dataset.stream",
                value=True,
                fix="Set dataset.stream = false, with a part of the rows (dataset.select).",
            )
        return self.rows


def checked(
    model_config: ModelConfig,
    config: TrainerConfig,
    dataset: Dataset,
    callbacks: Sequence[Callback] = (),
    sample_weight: Any = None,
    backend: Backend | None = None,
) -> Checked:
    """The model and its rows, as training takes them. Runs in the driver process.

    Args:
        sample_weight: of the rows of train, in the order of `materialize` (N,); by default those
            of the dataset.
        backend: where circuits run; without it the one that `config` names.

    Raises:
        ConfigError, CircuitError, ResourceError: what does not fit, or cannot be run.
        DataError: fewer rows than workers.
    """
    if not isinstance(dataset, Dataset):
        raise no_dataset_error(dataset)
    model = model_for(model_config, dataset)
    _check_own_backend(config, backend)
    backend = backend or config.open_backend()
    get_gradient(config.gradient, backend, config.gradient_options)
    if dataset.streamed:
        check_streams(config, backend)
    validates = "val" in dataset.plans
    if dataset.streamed:
        x = x_val = None
        y = dataset.labels("train")
        y_val = dataset.labels("val") if validates else y[:0]
    else:
        x, y = dataset.materialize("train")
        x_val, y_val = dataset.materialize("val") if validates else (x[:0], y[:0])
    given = _sample_weight(dataset, sample_weight, len(y))
    weight = weights_of(model, config, y, dataset.classes, given)
    targets = scaling_of(model, config, y, given)
    if targets is not None:
        y, y_val = targets.apply(y), targets.apply(y_val)
    rows: AnyRows
    if x is None or x_val is None:
        rows = streamed_rows(dataset, config, y, y_val, targets, weight)
    else:
        row_val = dataset.rows("val") if validates else None
        weight_val = dataset.weights("val") if validates else None
        rows = TrainingRows(x, y, x_val, y_val, dataset.rows("train"), row_val, weight, weight_val)
    check_privacy(config, rows, copies=dataset.config.augmentation is not None)
    check_rows(model, config, rows, backend)
    for place, member in enumerate(config.members()[1:]):
        with naming_fallback(place, member.backend):
            opened = member.open_backend()
            check_rows(model, member, rows, opened)
            check_member(model, member, rows, opened)
    names = tuple(map(str, dataset.schema.class_names))
    return Checked(model, rows, targets, asked_metrics(model, config, callbacks, rows, names))


def _check_own_backend(config: TrainerConfig, backend: Backend | None) -> None:
    """Refuse noise or mitigation of the training beside a backend that was given as an object."""
    mitigates = config.mitigation is not None and config.mitigation.during == "always"
    if mitigates and backend is not None:
        raise ConfigError(
            "a backend that is given as an object trains as it is",
            field="trainer.mitigation.during",
            value="always",
            fix="Give mitigated(backend, mitigation) as the backend, with during = 'test'.",
        )
    if config.noise is not None and backend is not None:
        raise ConfigError(
            "a backend that is given as an object trains as it is",
            field="trainer.noise",
            fix="Give the noise to the backend, StatevectorBackend(noise=...), or leave it out.",
        )
    if backend is not None and not can_describe_itself(backend):
        _log.warning(
            "the backend %s has no method description, so the record of the run has its class "
            "alone, and a resumed run is not checked for other settings of it",
            type(backend).__name__,
        )


def _sample_weight(dataset: Dataset, given: Any, n_rows: int) -> FloatArray | None:
    """The weights (N,) of the rows of train: those given, or those of the dataset."""
    own = dataset.weights("train")
    if given is None:
        return own
    if dataset.plan("train").weight is not None:
        column = None if dataset.config.columns is None else dataset.config.columns.weight
        raise ConfigError(
            "the dataset has sample weights already",
            field="sample_weight",
            value=column,
            fix="Leave sample_weight out, or load the dataset without columns.weight.",
        )
    return check_sample_weight(given, n_rows)


def as_config(given: C | None, kind: type[C], field: str) -> C:
    """`given`, or the configuration of this kind with its defaults.

    Raises:
        ConfigError: something else, such as a dictionary.
    """
    if given is None:
        return kind()
    if not isinstance(given, kind):
        raise ConfigError(
            f"a {kind.__name__} is needed",
            field=field,
            value=type(given).__name__,
            fix=f"Write {kind.__name__}(...), or {kind.__name__}(**options) for a dictionary.",
        )
    return given


def no_dataset_error(given: object) -> UsageError:
    """The error for anything else than a dataset, such as features and labels."""
    return UsageError(
        "the first argument of a training is a Dataset, and the only one without a name",
        field="dataset",
        value=type(given).__name__,
        fix="Make one by DatasetLoader.load(config) or DatasetLoader.from_arrays(x, y).",
    )


def scaling_of(
    model: QuantumModel, config: TrainerConfig, y: AnyArray, weight: FloatArray | None = None
) -> TargetScaling | None:
    """How the targets y (N, …) of train are scaled; None if they are not."""
    if model.loss.goal != "regression" or config.target_scaling == "none":
        return None
    return TargetScaling.of(y, weight)


def weights_of(
    model: QuantumModel,
    config: TrainerConfig,
    y: AnyArray,
    classes: Sequence[Any],
    sample_weight: FloatArray | None,
) -> FloatArray | None:
    """The weight (N,) of each row of train; None where all are equal.

    Raises:
        ConfigError: weights of classes for a model that does not classify.
        UnknownNameError: a weight for a label that is no class.
    """
    if config.class_weight is not None and model.loss.goal != "classification":
        raise ConfigError(
            f"class weights are for one class a row, the goal of the loss is {model.loss.goal}",
            field="trainer.class_weight",
            value=config.class_weight,
            fix="Leave them out, or give weights of rows.",
        )
    if config.class_weight is None and sample_weight is None:
        return None
    return row_weights(y, classes, config.class_weight, sample_weight, field="trainer.class_weight")


def model_for(config: ModelConfig, dataset: Dataset) -> QuantumModel:
    """The model that `config` means for this dataset.

    Raises:
        ConfigError, CircuitError: they do not fit.
    """
    return build_model(
        config,
        n_features=dataset.schema.n_features,
        n_classes=len(dataset.classes) or None,
        task=dataset.config.task,
        n_targets=dataset.schema.n_targets,
    )


def check_rows(model: QuantumModel, config: TrainerConfig, rows: AnyRows, backend: Backend) -> None:
    """Raise where these rows cannot be trained on in this way.

    Raises:
        CircuitError, ResourceError: a circuit that the backend cannot run.
        DataError: fewer rows than workers.
    """
    if rows.n_rows < max(1, config.max_workers):
        raise DataError(
            f"{rows.n_rows} training rows for {config.max_workers} workers",
            field="trainer.num_workers",
            value=config.max_workers,
            fix=f"Take at most {rows.n_rows} workers, or more data.",
        )
    steps = len(batches_of(config, rows.y).of_epoch(0))
    with under("trainer.schedule_options"):
        schedule = get_schedule(config.schedule, config.schedule_options)
        schedule.init(Horizon(steps * config.epochs, steps))
    parts = model.split(model.initial(0))
    with _with_fields_of_a_job(config), numbered(rows.row):
        first, _ = model.inputs(parts, rows.first)
        bindings = model.bindings(parts, first, model.circuit.angles(first))
        backend.check(model.circuit.template, model.observables, bindings)
        mitigated = backend if config.mitigation is None else config.open_mitigated()
        if mitigated is not backend:
            mitigated.check(model.circuit.template, model.observables, bindings)
    template = model.circuit.template
    unused = unused_noise(template, getattr(backend, "noise", None))
    for said in (*unused, *unused_mitigation(template, mitigated)):
        _log.warning("%s", said)


@contextmanager
def _with_fields_of_a_job(config: TrainerConfig) -> Iterator[None]:
    """Name the field of a job that an error of its circuit or backend is about."""
    try:
        yield
    except QStoreError as exc:
        first = exc.field.partition(".")[0]
        if first == "initial":
            exc.field = "encoding"
        part = "trainer" if first in ("noise", "mitigation", "trainer") else "model"
        with under("trainer.backend_options" if first in config.backend_options else part):
            raise

"""What is checked before anything of a run is written: that the parts fit each other."""

from __future__ import annotations

from qstore_ray.backends import open_backend
from qstore_ray.backends.base import Backend
from qstore_ray.data.dataset import Dataset
from qstore_ray.errors import DataError, numbered, under
from qstore_ray.learn.config import ModelConfig
from qstore_ray.learn.gradients import get_gradient
from qstore_ray.learn.model import QuantumModel, build_model
from qstore_ray.learn.schedules import Horizon, get_schedule
from qstore_ray.learn.stopping import monitored
from qstore_ray.train.assignment import TrainingRows
from qstore_ray.train.config import TrainerConfig
from qstore_ray.train.loop import batches_of


def checked(
    model_config: ModelConfig, config: TrainerConfig, dataset: Dataset
) -> tuple[QuantumModel, TrainingRows]:
    """The model and its rows. Runs in the driver process.

    Raises:
        ConfigError, CircuitError, ResourceError: what does not fit, or cannot be run.
        DataError: fewer rows than workers.
    """
    model = model_for(model_config, dataset)
    backend = open_backend(config.backend, config.backend_options)
    get_gradient(config.gradient, backend)
    x, y = dataset.materialize("train")
    validates = "val" in dataset.plans
    held_out = dataset.materialize("val") if validates else (x[:0], y[:0])
    row_val = dataset.rows("val") if validates else None
    rows = TrainingRows(x, y, *held_out, row=dataset.rows("train"), row_val=row_val)
    check_rows(model, config, rows, backend)
    return model, rows


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


def check_rows(
    model: QuantumModel, config: TrainerConfig, rows: TrainingRows, backend: Backend
) -> None:
    """Raise where these rows cannot be trained on in this way.

    Raises:
        ConfigError: a monitored metric that the run will not have.
        CircuitError, ResourceError: a circuit that the backend cannot run.
        DataError: fewer rows than workers.
    """
    if len(rows.x) < max(1, config.num_workers):
        raise DataError(
            f"{len(rows.x)} training rows for {config.num_workers} workers",
            field="trainer.num_workers",
            value=config.num_workers,
            fix=f"Take at most {len(rows.x)} workers, or more data.",
        )
    if config.monitor:
        with under("trainer"):
            monitored(dict.fromkeys(metric_names(model, len(rows.x_val)), 0.0), config.monitor)
    steps = len(batches_of(config, rows.y).of_epoch(0))
    with under("trainer.schedule_options"):
        schedule = get_schedule(config.schedule, config.schedule_options)
        schedule.init(Horizon(steps * config.epochs, steps))
    parts = model.split(model.initial(0))
    with under("model"), numbered(rows.row):
        first, _ = model.inputs(parts, rows.x[:1])
        bindings = model.bindings(parts, first, model.circuit.angles(first))
        backend.check(model.circuit.template, model.observables, bindings)


def metric_names(model: QuantumModel, n_validation: int) -> list[str]:
    """The metrics that an epoch's record will have, without those of callbacks."""
    splits = ("train", "val") if n_validation else ("train",)
    scores = ("loss", "accuracy") if model.loss.classification else ("loss",)
    return [f"{split}_{score}" for split in splits for score in scores] + ["learning_rate"]

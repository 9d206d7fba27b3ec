"""The rows of a streamed dataset as a training takes them, and what cannot be trained on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qstore_ray.backends.base import Backend
from qstore_ray.data.batches.windows import RowStream, rows_of_a_window
from qstore_ray.errors import ConfigError
from qstore_ray.learn.optimizers import get_optimizer
from qstore_ray.learn.optimizers.base import ChecksRows
from qstore_ray.train.config import TrainerConfig
from qstore_ray.train.job import StreamedRows

if TYPE_CHECKING:
    from qstore_ray.data.read.dataset import Dataset
    from qstore_ray.learn.targets import TargetScaling
    from qstore_ray.types import AnyArray, FloatArray


def streamed_rows(
    dataset: Dataset,
    config: TrainerConfig,
    y: AnyArray,
    y_val: AnyArray,
    targets: TargetScaling | None,
    weight: FloatArray | None,
) -> StreamedRows:
    """The rows of train and val, read window by window in the order of `config.seed`.

    Args:
        y, y_val: targets (N, …) as training sees them. weight: of the rows of train (N,), or None.

    Raises:
        DataError: the first block cannot be read any more, or has changed.
    """
    plan, window_rows = dataset.plan("train"), rows_of_a_window(dataset.schema.n_features)
    shares = None if weight is None else weight / weight.mean()
    val, weight_val = None, None
    if "val" in dataset.plans:
        weight_val = dataset.weights("val")
        held_out = None if weight_val is None else weight_val / weight_val.mean()
        val = RowStream(dataset.plan("val").tasks, window_rows, None, held_out)
    block = plan.tasks[0]()
    return StreamedRows(
        RowStream(plan.tasks, window_rows, config.seed, shares),
        val,
        y,
        y_val,
        block["x"][:1].copy(),
        block["row"][:1].copy(),
        weight_val,
        targets,
    )


def check_streams(config: TrainerConfig, backend: Backend) -> None:
    """Raise `ConfigError` for a training that needs more of its rows than a batch at a time."""
    hold = "Set dataset.stream = false to hold the rows in memory"
    if config.batches != "standard":
        raise ConfigError(
            "batches of this kind choose among all rows, and the rows are streamed",
            field="trainer.batches",
            value=config.batches,
            fix=f'Set trainer.class_weight = "balanced" in place of balanced batches. {hold}.',
        )
    for field in ("averaging", "compression"):
        part = getattr(config, field)
        if part is not None and part.is_used:
            raise ConfigError(
                "a resumed worker needs the rows that it had, and of streamed rows each group of "
                "workers reads its own",
                field=f"trainer.{field}",
                fix=f"Leave the table {field} out. {hold}.",
            )
    for place, member in enumerate(config.members()):
        name = member.backend if place else getattr(backend, "name", member.backend)
        if "ibm" in (name, member.backend):
            raise ConfigError(
                "the forecast of a training on paid hardware needs all rows, and they are streamed",
                field="trainer.backend",
                value="ibm",
                fix=f"{hold}, or train on a simulator.",
            )
    optimizer = get_optimizer(config.optimizer, config.optimizer_options)
    if config.max_workers > 1 and isinstance(optimizer, ChecksRows):
        raise ConfigError(
            "this optimizer asks for a part of a batch, and with streamed rows each worker has "
            "only its own",
            field="trainer.optimizer",
            value=config.optimizer,
            fix=f"Set trainer.num_workers = 0. {hold}.",
        )

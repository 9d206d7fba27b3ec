"""Checks of the backends that may take over: a run must not learn in its third hour that the next
backend of its chain cannot train it.

The gradient is looked up, the circuit of the first row is checked and evaluated, and an optimizer
that searches takes a step with it. A paid backend is asked for nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING

from qstore_ray.errors import DivergenceError, QStoreError
from qstore_ray.learn.gradients import get_gradient
from qstore_ray.learn.optimizers import get_optimizer
from qstore_ray.learn.optimizers.base import ChecksRows, SearchOptimizer
from qstore_ray.learn.schedules import Horizon
from qstore_ray.train.loop.objective import RowSelection, TrainingObjective
from qstore_ray.train.loop.reducer import LocalReducer
from qstore_ray.train.loop.stepper import Stepper

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from qstore_ray.backends.base import Backend
    from qstore_ray.learn.model import QuantumModel
    from qstore_ray.train.config import TrainerConfig
    from qstore_ray.train.job import AnyRows


def check_member(
    model: QuantumModel, config: TrainerConfig, rows: AnyRows, backend: Backend
) -> None:
    """Raise what training on this backend of a chain would raise.

    Raises:
        QStoreError: see `Backend.evaluate`, `get_gradient` and the optimizer.
    """
    get_gradient(config.gradient, backend, config.gradient_options)
    with _unpaid(backend):
        objective = TrainingObjective(
            model, backend, config.gradient, LocalReducer(), config.gradient_options
        )
        number = None if rows.row is None else rows.row[:1]
        first = RowSelection(rows.first, rows.y[:1], number=number)
        theta = model.initial(config.seed)
        for prepare in (objective.for_training, objective.for_testing):
            prepare(config.seed, 0)
            objective.scores(theta, first)
        optimizer = get_optimizer(config.optimizer, config.optimizer_options)
        if isinstance(optimizer, SearchOptimizer) and not isinstance(optimizer, ChecksRows):
            stepper = Stepper(config, objective)
            with suppress(DivergenceError):  # of one row; the backend has answered
                stepper.step(stepper.begin(theta, Horizon(10**6, 10**3)), first)


@contextmanager
def naming_fallback(place: int, backend: str) -> Iterator[None]:
    """Name the entry of `trainer.fallback` that an error of one of its members is about."""
    try:
        yield
    except QStoreError as exc:
        field = exc.field.removeprefix("trainer.")
        if field.partition(".")[0] in {"backend", "backend_options", "noise"}:
            exc.field = f"trainer.fallback.{place}.{field}"
        else:
            exc.message = f"{exc.message}, on {backend}, which trainer.fallback.{place} names"
        raise


def _unpaid(backend: Backend) -> AbstractContextManager[object]:
    """Where evaluations of a paid backend are recorded and not made."""
    if getattr(backend, "name", "") != "ibm":
        return nullcontext()
    from qstore_ray.backends.ibm.gateway.recording import recording

    return recording()

"""Checks of the backends that may take over: a run must not learn in its third hour that the next
backend of its chain cannot train it.

The gradient is looked up, the circuit of the first row is checked and evaluated, and an optimizer
that asks for more than values and gradients gets it, of the first row. A paid backend is asked for
nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

import numpy as np

from qstore_ray.errors import QStoreError
from qstore_ray.learn.gradients import get_gradient
from qstore_ray.learn.optimizers import get_optimizer
from qstore_ray.learn.optimizers.base import SearchOptimizer, Slope
from qstore_ray.train.loop.objective import BatchProblem, RowSelection, TrainingObjective
from qstore_ray.train.loop.reducer import LocalReducer

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from qstore_ray.backends.base import Backend
    from qstore_ray.learn.model import QuantumModel
    from qstore_ray.train.config import TrainerConfig
    from qstore_ray.train.job import TrainingRows
    from qstore_ray.types import FloatArray


def check_member(
    model: QuantumModel, config: TrainerConfig, rows: TrainingRows, backend: Backend
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
        first = RowSelection(rows.x, rows.y, np.arange(1), rows.row)
        theta = model.initial(config.seed)
        for prepare in (objective.for_training, objective.for_testing):
            prepare(config.seed, 0)
            objective.scores(theta, first)
        optimizer = get_optimizer(config.optimizer, config.optimizer_options)
        if isinstance(optimizer, SearchOptimizer):
            objective.for_training(config.seed, 0)
            size = min(config.batch_size * config.accumulate, len(rows.x))
            problem = _FlatProblem(BatchProblem(objective, first, (config.seed, 0)), size)
            with np.errstate(all="ignore"):
                optimizer.search(optimizer.init(theta), theta, problem, config.learning_rate)


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


class _FlatProblem:
    """A loss that is zero everywhere; metric and fidelities are those of the backend."""

    def __init__(self, problem: BatchProblem, n_rows: int) -> None:
        self._problem = problem
        self.key, self.n_circuit, self.n_rows = problem.key, problem.n_circuit, n_rows
        self.metric_blocks = problem.metric_blocks
        self.metric, self.fidelities = problem.metric, problem.fidelities

    def values(self, thetas: FloatArray) -> FloatArray:
        """Zeros."""
        return np.zeros(len(thetas))

    def slope(self, theta: FloatArray, n_rows: int | None = None) -> Slope:
        """No slope."""
        return Slope(np.zeros_like(theta), np.ones_like(theta))

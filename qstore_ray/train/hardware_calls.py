"""The requests that a training makes of paid hardware, counted and not run.

One step over a batch of each size, the validation of an epoch and the scoring at the end are taken
with a gateway that records the requests (`backends/ibm/gateway/recording.py`), in the place of
every worker in turn.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import zip_longest
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from qstore_ray.backends.keys import DrawKey, for_scoring
from qstore_ray.learn import step as blocks
from qstore_ray.learn.optimizers import get_optimizer
from qstore_ray.learn.optimizers.base import Calibrates
from qstore_ray.learn.schedules import Horizon
from qstore_ray.train.finish import noisy_backends, scoring_backend
from qstore_ray.train.loop.loop import batches_of
from qstore_ray.train.loop.objective import RowSelection, TrainingObjective
from qstore_ray.train.loop.stepper import Stepper

if TYPE_CHECKING:
    from collections.abc import Callable

    from qstore_ray.backends.base import Backend
    from qstore_ray.backends.ibm.gateway.recording import RecordingGateway
    from qstore_ray.backends.ibm.requests import CircuitRequest
    from qstore_ray.data.read.dataset import Dataset
    from qstore_ray.train.checks import Checked
    from qstore_ray.train.config import TrainerConfig
    from qstore_ray.types import FloatArray

Calls = list[list["CircuitRequest"]]
"""The turns of a training; the requests of one turn wait at the same time."""


class TrainingCalls(NamedTuple):
    """What is asked for.

    Attributes:
        steps: of a step over a batch of each size.
        sizes: how many steps of all epochs have a batch of that size, the first step's size first.
        validation: of one epoch. scoring: after the last.
        first_step, first_validation: the first ones, with the calibrations that no later one needs.
    """

    steps: dict[int, Calls]
    sizes: Counter[int]
    validation: Calls
    scoring: Calls
    first_step: Calls
    first_validation: Calls


def training_calls(
    trainer: TrainerConfig,
    job: Checked,
    dataset: Dataset,
    gateway: RecordingGateway,
    *,
    backend: Backend | None = None,
    confusion: bool = True,
) -> TrainingCalls:
    """What training this job asks for, while `gateway` records.

    Args:
        backend: where circuits run, in place of the one that `trainer` names.
        confusion: whether the figures of the run are drawn, which ask for the test rows once more.
    """
    sizes = _batch_sizes(trainer, job)
    optimizer = get_optimizer(trainer.optimizer, trainer.optimizer_options)
    later = optimizer if isinstance(optimizer, Calibrates) else None
    steps = {size: _step(trainer, job, gateway, backend, size, later) for size in sizes}
    size = next(iter(sizes))
    first = steps[size] if later is None else _step(trainer, job, gateway, backend, size)
    validation = _validation(trainer, job, gateway, backend)
    scoring = _scoring(trainer, job, dataset, gateway, backend, confusion=confusion)
    seen: set[str] = set()
    first_step = _with_new(first, seen)
    first_validation = _with_new(validation, seen)
    return TrainingCalls(
        {size: _without_calibrations(calls) for size, calls in steps.items()},
        sizes,
        _without_calibrations(validation),
        _with_new(scoring, seen),
        first_step,
        first_validation,
    )


def _without_calibrations(calls: Calls) -> Calls:
    return [[request for request in turn if not request.rides] for turn in calls]


def _with_new(calls: Calls, seen: set[str]) -> Calls:
    """The calls without the calibrations in `seen`, to which their own are added."""
    found: Calls = []
    for turn in calls:
        kept: list[CircuitRequest] = []
        for request in turn:
            if not request.rides or request.key not in seen:
                kept.append(request)
            if request.rides:
                seen.add(request.key)
        found.append(kept)
    return found


def _batch_sizes(trainer: TrainerConfig, job: Checked) -> Counter[int]:
    """How many steps of all epochs have a batch of this size."""
    batches = batches_of(trainer, job.rows.y)
    return Counter(len(index) for e in range(trainer.epochs) for index in batches.of_epoch(e))


class _Replayed:
    """A worker in place of others: what they would have added is known from `sums`.

    With no sums it is the only worker, whose sums are kept.
    """

    def __init__(
        self, gateway: RecordingGateway, rank: int, size: int, sums: list[FloatArray] | None
    ) -> None:
        self.rank, self.world_size = rank, size
        self._gateway, self._sums = gateway, sums
        self.kept: list[FloatArray] = []
        self.calls: list[Calls] = []

    def all_reduce(self, values: FloatArray) -> FloatArray:
        """What all workers' values add up to; the requests before it are those of one call."""
        self.calls.append(self._gateway.take_turns())
        summed = values if self._sums is None else self._sums[len(self.kept)]
        self.kept.append(summed.copy())
        return summed.copy()

    def broadcast(self, values: FloatArray) -> FloatArray:
        """The values."""
        return values


def _of_all_workers(
    trainer: TrainerConfig,
    job: Checked,
    gateway: RecordingGateway,
    backend: Backend | None,
    work: Callable[[TrainingObjective], object],
) -> Calls:
    """The requests of all workers for each call in turn; those of a call wait at the same time."""

    def worker(rank: int, size: int, sums: list[FloatArray] | None) -> _Replayed:
        reducer = _Replayed(gateway, rank, size, sums)
        opened = backend or trainer.open_backend()
        work(
            TrainingObjective(
                job.model, opened, trainer.gradient, reducer, trainer.gradient_options
            )
        )
        return reducer

    alone = worker(0, 1, None)
    size = max(1, trainer.max_workers)
    workers = [alone]
    if size > 1:
        workers = [worker(rank, size, alone.kept) for rank in range(size)]
    found: Calls = []
    for calls in zip(*(each.calls for each in workers), strict=True):
        in_turn = zip_longest(*calls, fillvalue=())  # a worker waits for an answer
        found += [[one for of_worker in turn for one in of_worker] for turn in in_turn]
    return found


def _step(
    trainer: TrainerConfig,
    job: Checked,
    gateway: RecordingGateway,
    backend: Backend | None,
    size: int,
    later: Calibrates | None = None,
) -> Calls:
    """The calls of a step over a batch of this size: of the first step, unless `later`."""
    rows, per_epoch = job.rows, len(batches_of(trainer, job.rows.y).of_epoch(0))
    batch = RowSelection(rows.x, rows.y, np.arange(size), rows.row)

    def work(objective: TrainingObjective) -> None:
        stepper = Stepper(trainer, objective)
        horizon = Horizon(per_epoch * trainer.epochs, per_epoch)
        state = stepper.begin(job.model.initial(trainer.seed), horizon)
        if later is not None:
            state = replace(state, optimizer=later.calibrated(dict(state.optimizer)))
        stepper.step(state, batch)

    return _of_all_workers(trainer, job, gateway, backend, work)


def _validation(
    trainer: TrainerConfig, job: Checked, gateway: RecordingGateway, backend: Backend | None
) -> Calls:
    """The requests of an epoch's validation."""
    rows = RowSelection(job.rows.x_val, job.rows.y_val)

    def work(objective: TrainingObjective) -> None:
        objective.for_testing(trainer.seed, 0)
        objective.scores(job.model.initial(trainer.seed), rows)

    return _of_all_workers(trainer, job, gateway, backend, work)


def _scoring(
    trainer: TrainerConfig,
    job: Checked,
    dataset: Dataset,
    gateway: RecordingGateway,
    backend: Backend | None,
    *,
    confusion: bool,
) -> Calls:
    """The requests of the driver after the last epoch; one that is repeated is run once."""
    theta = job.model.initial(trainer.seed)
    exact = backend or scoring_backend(trainer)
    scoring = for_scoring(exact, DrawKey((trainer.seed, 2)))
    for split in ("val", "test"):
        if split in dataset.plans:
            blocks.block_outputs(job.model, theta, dataset.materialize(split).x, scoring)
    if "test" in dataset.plans:
        x = dataset.materialize("test").x
        for noisy in noisy_backends(trainer).values():
            blocks.block_outputs(job.model, theta, x, noisy)
        if confusion and job.model.loss.goal == "classification":
            blocks.outputs_of(job.model, theta, x, scoring)
    seen: set[str] = set()
    found: Calls = []
    for turn in gateway.take_turns():
        found.append([request for request in turn if request.key not in seen])
        seen.update(request.key for request in turn)
    return found

"""The requests that a training makes of paid hardware, counted and not run.

One step of each kind, the validation of an epoch and the scoring at the end are taken with a
gateway that records the requests (`backends/ibm/gateway/recording.py`), in the place of every
worker in turn. What is asked for must not depend on the answers, which are not known. An optimizer
that adapts its rows to them is counted twice: with the fewest and with the most rows.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import zip_longest
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from qstore_ray.backends.keys import DrawKey, for_scoring
from qstore_ray.learn import step as blocks
from qstore_ray.learn.gradients import get_gradient
from qstore_ray.learn.gradients.base import DrawsItsSize
from qstore_ray.learn.optimizers import get_optimizer
from qstore_ray.learn.optimizers.base import AdaptsRows, Calibrates
from qstore_ray.learn.schedules import Horizon
from qstore_ray.train.loop.objective import RowSelection, TrainingObjective
from qstore_ray.train.loop.source import batches_of
from qstore_ray.train.loop.stepper import Stepper
from qstore_ray.train.model.scoring_backends import noisy_backends, scoring_backend

if TYPE_CHECKING:
    from collections.abc import Callable

    from qstore_ray.backends.base import Backend
    from qstore_ray.backends.ibm.gateway.recording import RecordingGateway
    from qstore_ray.backends.ibm.requests import CircuitRequest
    from qstore_ray.data.read.dataset import Dataset
    from qstore_ray.learn.optimizers.base import OptimizerState
    from qstore_ray.train.checks import Checked
    from qstore_ray.train.config import TrainerConfig
    from qstore_ray.types import AnyArray, FloatArray

Calls = list[list["CircuitRequest"]]
"""The turns of a training; the requests of one turn wait at the same time."""


class StepKind(NamedTuple):
    """Steps that ask for the same.

    Attributes:
        rows: of the batch.
        number: of the step, if the gradient draws how many circuits it takes; else 0.
    """

    rows: int
    number: int


class TrainingCalls(NamedTuple):
    """What is asked for.

    Attributes:
        most, fewest: of a step of each kind but the first, at most and at least; the same unless
            the optimizer adapts its rows to the answers.
        kinds: how many steps of all epochs are of that kind, the first step's kind first.
        validation: of one epoch. scoring: after the last.
        first_step, first_validation: the first ones, with the calibrations that no later one needs.
    """

    most: dict[StepKind, Calls]
    fewest: dict[StepKind, Calls]
    kinds: Counter[StepKind]
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
    kinds = _kinds_of_steps(trainer, job, backend)
    optimizer = get_optimizer(trainer.optimizer, trainer.optimizer_options)

    def steps(later: Callable[[OptimizerState], OptimizerState] | None) -> dict[StepKind, Calls]:
        return {
            kind: _without_calibrations(_step(trainer, job, gateway, backend, kind, later))
            for kind in kinds
        }

    if isinstance(optimizer, AdaptsRows):
        most, fewest = steps(optimizer.with_most_rows), steps(optimizer.with_fewest_rows)
    else:
        most = fewest = steps(optimizer.calibrated if isinstance(optimizer, Calibrates) else None)
    first = _step(trainer, job, gateway, backend, next(iter(kinds)))
    validation = _validation(trainer, job, gateway, backend)
    scoring = _scoring(trainer, job, dataset, gateway, backend, confusion=confusion)
    seen: set[str] = set()
    first_step = _with_new(first, seen)
    first_validation = _with_new(validation, seen)
    return TrainingCalls(
        most,
        fewest,
        kinds,
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


def _kinds_of_steps(
    trainer: TrainerConfig, job: Checked, backend: Backend | None
) -> Counter[StepKind]:
    """How many steps of all epochs are of each kind."""
    method = get_gradient(
        trainer.gradient, backend or trainer.open_backend(), trainer.gradient_options
    )
    model = job.model
    varies = isinstance(method, DrawsItsSize) and method.size_varies(
        model.circuit.template, rows=model.rows_gradient
    )
    batches = batches_of(trainer, job.held.y)
    sizes = (len(index) for e in range(trainer.epochs) for index in batches.of_epoch(e))
    return Counter(StepKind(size, varies * number) for number, size in enumerate(sizes))


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

    def all_reduce(self, values: AnyArray) -> AnyArray:
        """What all workers' values add up to; the requests before it are those of one call."""
        self.calls.append(self._gateway.take_turns())
        summed = values if self._sums is None else self._sums[len(self.kept)]
        self.kept.append(summed.copy())
        return summed.copy()

    def broadcast(self, values: FloatArray) -> FloatArray:
        """The values."""
        return values

    def begin(self, values: FloatArray) -> Callable[[], FloatArray]:
        """The sum, at once."""
        summed = self.all_reduce(values)
        return lambda: summed


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
    kind: StepKind,
    later: Callable[[OptimizerState], OptimizerState] | None = None,
) -> Calls:
    """The calls of a step of this kind.

    Args:
        later: makes the optimizer's state that of a later step; None for the first one.
    """
    rows, per_epoch = job.held, len(batches_of(trainer, job.held.y).of_epoch(0))
    batch = RowSelection(rows.x, rows.y, np.arange(kind.rows), rows.row)

    def work(objective: TrainingObjective) -> None:
        stepper = Stepper(trainer, objective)
        horizon = Horizon(per_epoch * trainer.epochs, per_epoch)
        state = stepper.begin(job.model.initial(trainer.seed), horizon)
        if later is not None:
            state = replace(state, optimizer=later(dict(state.optimizer)))
        stepper.step(replace(state, step=kind.number), batch)

    return _of_all_workers(trainer, job, gateway, backend, work)


def _validation(
    trainer: TrainerConfig, job: Checked, gateway: RecordingGateway, backend: Backend | None
) -> Calls:
    """The requests of an epoch's validation."""
    rows = RowSelection(job.held.x_val, job.held.y_val)

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

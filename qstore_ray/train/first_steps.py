"""The first steps of a training, taken to count and time them; see `qstore_ray/estimate.py`."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from qstore_ray.learn.step import BLOCK
from qstore_ray.train.config import TrainerConfig

if TYPE_CHECKING:
    from qstore_ray.data.read.dataset import Dataset
    from qstore_ray.train.checks import Checked

_STEPS = 6
_SECONDS = 3.0
"""How many steps are taken at most, and for how long: the first one also compiles."""
_SAMPLE = 2


class Work(NamedTuple):
    """Seconds, circuits and shots."""

    seconds: float
    circuits: float
    shots: float


class FirstSteps(NamedTuple):
    """What a step and the validation of an epoch take.

    Attributes:
        steps_per_epoch: in whole batches, so it may be broken.
    """

    step: Work
    validation: Work
    steps_per_epoch: float
    engine: str
    measured_steps: int = 0
    flops_per_step: float | None = None
    memory_bytes: int | None = None


def measured_work(trainer: TrainerConfig, job: Checked, *, sample: bool = False) -> FirstSteps:
    """By the first steps of the training itself, in this process.

    Args:
        sample: take a step of one row and a step of two rows instead, and compute the step of a
            batch from them: a constant, and as much for each row. Costs a fraction, which matters
            if a row takes many circuits with shots; its seconds are less exact.
    """
    from qstore_ray.backends.statevector import StatevectorBackend
    from qstore_ray.learn.schedules import Horizon
    from qstore_ray.simulate.engines.engines import describe
    from qstore_ray.train.loop.objective import RowSelection, TrainingObjective
    from qstore_ray.train.loop.reducer import LocalReducer
    from qstore_ray.train.loop.source import batches_of
    from qstore_ray.train.loop.stepper import Stepper

    rows = job.held
    backend = trainer.open_backend(threads=1)
    objective = TrainingObjective(
        job.model, backend, trainer.gradient, LocalReducer(), trainer.gradient_options
    )
    stepper = Stepper(trainer, objective)
    batches = batches_of(trainer, rows.y).of_epoch(0)
    state = stepper.begin(
        job.model.initial(trainer.seed), Horizon(len(batches) * trainer.epochs, len(batches))
    )
    clock = _clock(trainer)
    seconds: list[float] = []
    used: list[Work] = []
    sizes: list[int] = []
    began = time.perf_counter()
    most, limit = (_SAMPLE, math.inf) if sample else (_STEPS, _SECONDS)
    while len(seconds) < most and (not seconds or time.perf_counter() - began < limit):
        index = batches[0][: len(sizes) + 1] if sample else batches[len(seconds) % len(batches)]
        before, earlier = clock(), objective.usage
        state, batch = stepper.step(state, RowSelection(rows.x, rows.y, index, rows.row))
        seconds.append(clock() - before)
        used.append(Work(seconds[-1], *(objective.usage - earlier)))
        sizes.append(batch.n_rows)
    steps, size = len(seconds), len(batches[0])
    circuits, shots = objective.usage / steps
    step = Work(statistics.median(seconds[1:] or seconds), circuits, shots)
    if sample:
        step, sizes = _of_all_rows(used, size), [size]
    tested = _SAMPLE if sample else trainer.batch_size
    part = RowSelection(rows.x_val, rows.y_val).first(tested)
    validation = Work(0.0, 0.0, 0.0)
    if part.count:
        objective.for_testing(trainer.seed, state.step)
        earlier, before = objective.usage, clock()
        objective.scores(state.theta, part)
        took = clock() - before
        share = len(rows.x_val) / part.count
        circuits, shots = (objective.usage - earlier) * share
        validation = Work(took * share, circuits, shots)
    per_epoch = len(rows.x) / statistics.fmean(sizes)
    engine = describe(backend.engine) if isinstance(backend, StatevectorBackend) else backend.name
    return FirstSteps(step, validation, per_epoch, engine, measured_steps=steps)


def _of_all_rows(used: list[Work], rows: int) -> Work:
    """What a step of so many rows takes, from what steps of one and of two rows took."""
    one, last = used[0], used[-1]
    more = rows - 1
    circuits = one.circuits + more * (last.circuits - one.circuits)
    shots = one.shots + more * (last.shots - one.shots)
    share = circuits / last.circuits if last.circuits else rows / len(used)
    return Work(last.seconds * share, circuits, shots)


def scoring_work(
    trainer: TrainerConfig, job: Checked, dataset: Dataset, *, sample: bool = False
) -> Work:
    """The test rows with noise or shots, and mitigated: from the first of them.

    Args:
        sample: from two rows rather than a block, once. Circuits and shots are the same, since each
            row takes as many; the seconds are those of a first call.
    """
    from qstore_ray.backends.meter import metered
    from qstore_ray.learn import step
    from qstore_ray.train.model.scoring_backends import noisy_backends

    found = Work(0.0, 0.0, 0.0)
    if "test" not in dataset.plans:
        return found
    x = dataset.materialize("test").x
    part = x[: _SAMPLE if sample else BLOCK]
    theta = job.model.initial(trainer.seed)
    for backend in noisy_backends(trainer).values():
        meter = metered(backend)
        if not sample:
            step.block_outputs(job.model, theta, part, meter)  # compiles
            meter.take()
        before = time.perf_counter()
        step.block_outputs(job.model, theta, part, meter)
        took = time.perf_counter() - before
        used, share = meter.take(), len(x) / len(part)
        found = Work(
            found.seconds + took * share,
            found.circuits + used.circuits * share,
            found.shots + used.shots * share,
        )
    return found


def _clock(trainer: TrainerConfig) -> Callable[[], float]:
    """CPU seconds where one thread of this process does all the work; else those of the clock.

    Other programs on a busy machine lengthen a step of milliseconds by tens of them.
    """
    return time.process_time if trainer.backend == "statevector" else time.perf_counter

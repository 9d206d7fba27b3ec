"""The training loop. It runs, unchanged, in this process or in every Ray Train worker.

For each epoch the rows are permuted by (seed, epoch) and cut into batches, a batch into blocks of
16 rows. Worker r computes its share of the blocks and leaves zeros for the rest; one all-reduce
gives everyone all blocks, which are then added in order. So θ has the same bits on every worker
and for any number of workers. Worker 0 also writes: metrics, checkpoints; and its wishes (stop,
save, report) travel with the sums, so that all workers act on them after the same step.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from qstore_ray.backends import open_backend
from qstore_ray.data.order import row_order
from qstore_ray.errors import DivergenceError, RunError
from qstore_ray.learn import step as blocks
from qstore_ray.learn.gradients import get_gradient
from qstore_ray.learn.model import QuantumModel
from qstore_ray.learn.optimizers import get_optimizer
from qstore_ray.learn.schedules import Horizon, Tick, get_schedule
from qstore_ray.train.checkpoint import latest_checkpoint
from qstore_ray.train.config import TrainerConfig
from qstore_ray.train.recorder import Recorder
from qstore_ray.train.reporter import Reporter
from qstore_ray.train.state import TrainState
from qstore_ray.train.sync import Reducer

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, FloatArray

_STOP, _SAVE, _REPORT = 1, 2, 4


class TrainingRows(NamedTuple):
    """Prepared rows: train x (N, F), y (N,), and those to validate on (maybe none)."""

    x: FloatArray
    y: AnyArray
    x_val: FloatArray
    y_val: AnyArray


@dataclass(frozen=True)
class Assignment:
    """What every worker is given.

    Attributes:
        manifest: goes into every checkpoint (fingerprints, model, preparation).
        arrays: likewise (the fitted preparation).
        threads: CPUs of one worker.
    """

    model: QuantumModel
    config: TrainerConfig
    run_dir: Path
    generation: int
    manifest: Mapping[str, Any]
    arrays: Mapping[str, AnyArray]
    threads: int = 1


class Outcome(NamedTuple):
    """How the loop ended: `finished` or `interrupted`, the parameters, seconds spent in steps."""

    status: str
    theta: FloatArray
    seconds: float
    samples: int


def run(job: Assignment, rows: TrainingRows, reducer: Reducer, reporter: Reporter) -> Outcome:
    """Train from the last checkpoint (or from the start) to the last epoch, or until told to stop.

    Runs in every worker; all of them return the same parameters.

    Raises:
        DivergenceError: the loss or a gradient became NaN or infinite.
        CheckpointError: no checkpoint is readable, or one cannot be written.
    """
    return _Loop(job, rows, reducer, reporter).run()


class _Loop:
    def __init__(
        self, job: Assignment, rows: TrainingRows, reducer: Reducer, reporter: Reporter
    ) -> None:
        config = job.config
        self.job, self.rows, self.reducer, self.reporter = job, rows, reducer, reporter
        self.backend = open_backend(config.backend, config.backend_options, threads=job.threads)
        self.method = get_gradient(config.gradient, self.backend)
        self.optimizer = get_optimizer(config.optimizer, config.optimizer_options)
        self.schedule = get_schedule(config.schedule, config.schedule_options)
        self.steps_per_epoch = -(-len(rows.x) // config.batch_size)
        # Only worker 0 writes into the run folder.
        self.recorder = Recorder(job, reporter) if reducer.rank == 0 else None

    def run(self) -> Outcome:
        """Restore, and train to the end."""
        try:
            return self._run()
        finally:
            if self.recorder:
                self.recorder.close()

    def _run(self) -> Outcome:
        began, state = time.monotonic(), self._restore()
        first_sample, stopped = state.samples, False
        while state.epoch < self.job.config.epochs and not stopped:
            state, stopped = self._steps(state)
            if not stopped:
                state = self._end_epoch(state)
        status = "interrupted" if stopped else "finished"
        if self.recorder:
            self.recorder.end(status)
        seconds = time.monotonic() - began
        return Outcome(status, state.theta, seconds, state.samples - first_sample)

    def _restore(self) -> TrainState:
        theta = self.job.model.initial(self.job.config.seed)
        total_steps = self.steps_per_epoch * self.job.config.epochs
        state = TrainState(
            theta=theta,
            optimizer=self.optimizer.init(theta),
            schedule=self.schedule.init(Horizon(total_steps, self.steps_per_epoch)),
            sums=np.zeros(4),
            learning_rate=self.job.config.learning_rate,
        )
        found, problems = latest_checkpoint(self.job.run_dir / "checkpoints")
        if found:
            known = state.to_arrays()
            state = TrainState.from_arrays({name: found.arrays[name] for name in known}, state)
        if self.recorder:
            self.recorder.start(
                state, problems, rows=len(self.rows.x), steps_per_epoch=self.steps_per_epoch,
                workers=self.reducer.world_size,
            )  # fmt: skip
        return state

    def _steps(self, state: TrainState) -> tuple[TrainState, bool]:
        """The remaining steps of the running epoch; True if told to stop."""
        size = self.job.config.batch_size
        order = row_order(self.job.config.seed, state.epoch, len(self.rows.x))
        for number in range(state.step_in_epoch, self.steps_per_epoch):
            state, wishes = self._step(state, order[number * size : (number + 1) * size])
            if self.recorder and wishes & (_SAVE | _STOP):
                self.recorder.save(state)
            if wishes & _STOP:
                return state, True
        return state, False

    def _step(self, state: TrainState, index: AnyArray) -> tuple[TrainState, int]:
        # What overflows in a run that diverges is checked here, on every worker alike.
        with np.errstate(over="ignore", invalid="ignore"):
            sums, wishes = self._gradient(state.theta, index)
            gradient = sums.gradient / sums.n_rows
            norm = float(np.sqrt(gradient @ gradient))
            tick = Tick(begins_epoch=state.step_in_epoch == 0)
            factor, schedule = self.schedule.update(dict(state.schedule), tick)
            learning_rate = self.job.config.learning_rate * factor
            theta, optimizer = self.optimizer.update(
                dict(state.optimizer), state.theta, gradient, learning_rate
            )
        if not (np.isfinite([sums.loss, norm]).all() and np.isfinite(theta).all()):
            raise DivergenceError(
                f"the loss, its gradient or the parameters became NaN or infinite in step "
                f"{state.step + 1}",
                value={"loss": sums.loss, "gradient_norm": norm},
                fix="Lower trainer.learning_rate, or scale the features down.",
            )
        state = replace(
            state,
            theta=theta,
            optimizer=optimizer,
            schedule=schedule,
            sums=state.sums + np.array([sums.loss, sums.n_rows, sums.correct, norm]),
            learning_rate=learning_rate,
            step_in_epoch=state.step_in_epoch + 1,
            step=state.step + 1,
            samples=state.samples + len(index),
        )
        if self.recorder:
            self.recorder.step(state, sums.loss / sums.n_rows)
        return state, wishes

    def _gradient(self, theta: FloatArray, index: AnyArray) -> tuple[blocks.Sums, int]:
        """Sums over a batch: this worker's blocks, added to those of all others."""
        n_blocks, mine = self._share(len(index))
        local = np.zeros((n_blocks, self.job.model.n_parameters + blocks.EXTRA))
        if mine.stop > mine.start:
            rows = index[mine.start * blocks.BLOCK : mine.stop * blocks.BLOCK]
            x, y = self.rows.x[rows], self.rows.y[rows]
            local[mine] = blocks.value_and_grad(
                self.job.model, theta, x, y, self.backend, self.method
            )
        summed, wishes = self._sum(local, self._wishes())
        return blocks.total(summed), wishes

    def _end_epoch(self, state: TrainState) -> TrainState:
        """Validate, record, and save; the state at the start of the next epoch."""
        loss, count, correct, norm = state.sums
        if count != len(self.rows.x):
            raise RunError(
                f"epoch {state.epoch} used {count:.0f} rows of {len(self.rows.x)}", value=count
            )
        validation, wishes = self._validate(state.theta)
        record = {
            "epoch": state.epoch,
            "step": state.step,
            "samples": state.samples,
            "train_loss": loss / count,
            **({"train_accuracy": correct / count} if self._classifies else {}),
            **validation,
            "learning_rate": state.learning_rate,
            "gradient_norm": norm / self.steps_per_epoch,
        }
        state = replace(state, epoch=state.epoch + 1, step_in_epoch=0, sums=np.zeros(4))
        if self.recorder:
            self.recorder.epoch(record)
            last = state.epoch == self.job.config.epochs
            if last or state.epoch % self.job.config.checkpoint_every_epochs == 0:
                self.recorder.save(state)
        if wishes & _REPORT:
            self.reporter.metrics(record)
        return state

    def _validate(self, theta: FloatArray) -> tuple[dict[str, float], int]:
        n_blocks, mine = self._share(len(self.rows.x_val))
        local = np.zeros((n_blocks, blocks.EXTRA))
        if mine.stop > mine.start:
            rows = slice(mine.start * blocks.BLOCK, mine.stop * blocks.BLOCK)
            x, y = self.rows.x_val[rows], self.rows.y_val[rows]
            local[mine] = blocks.evaluate(self.job.model, theta, x, y, self.backend)
        due = self.recorder is not None and self.recorder.report_is_due()
        summed, wishes = self._sum(local, _REPORT if due else 0)
        if not n_blocks:
            return {}, wishes
        sums = blocks.total(summed)
        accuracy = {"val_accuracy": sums.correct / sums.n_rows} if self._classifies else {}
        return {"val_loss": sums.loss / sums.n_rows, **accuracy}, wishes

    @property
    def _classifies(self) -> bool:
        return self.job.model.loss.classification

    def _share(self, n_rows: int) -> tuple[int, slice]:
        """The number of blocks of so many rows, and which of them are this worker's."""
        n_blocks = -(-n_rows // blocks.BLOCK)
        rank, size = self.reducer.rank, self.reducer.world_size
        return n_blocks, slice(n_blocks * rank // size, n_blocks * (rank + 1) // size)

    def _wishes(self) -> int:
        if self.recorder is None:
            return 0
        stop = _STOP if self.reporter.should_stop() else 0
        return stop | (_SAVE if self.recorder.save_is_due() else 0)

    def _sum(self, local: FloatArray, wishes: int) -> tuple[FloatArray, int]:
        """The blocks of all workers, and worker 0's wishes."""
        flat = np.append(local.ravel(), float(wishes))
        summed = self.reducer.all_reduce(flat)
        return summed[:-1].reshape(local.shape), int(summed[-1])

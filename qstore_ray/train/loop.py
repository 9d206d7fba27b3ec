"""The training loop. It runs, unchanged, in this process or in every Ray Train worker.

For each epoch the rows are ordered by (seed, epoch) and cut into batches. A step asks the
`Objective` for the gradient over a batch (or lets the optimizer ask it for what it needs), which
all workers compute together, so θ has the same bits on every worker and for any number of workers.
Worker 0 also keeps the run's journal and calls the callbacks; what they and it wish (stop, save,
report) travels with the sums, so that all workers act on it after the same step.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from qstore_ray.backends import open_backend
from qstore_ray.data.batches import BalancedBatches, Batches, StandardBatches
from qstore_ray.errors import CheckpointError, RunError, under
from qstore_ray.learn.schedules import Horizon
from qstore_ray.learn.stopping import monitored
from qstore_ray.learn.targets import nothing_to_learn
from qstore_ray.track.base import Record
from qstore_ray.train.assignment import Assignment, Outcome, TrainingRows
from qstore_ray.train.callbacks.base import Run
from qstore_ray.train.checkpoint import Checkpoint, latest_checkpoint
from qstore_ray.train.config import TrainerConfig
from qstore_ray.train.hooks import Hooks
from qstore_ray.train.objective import Objective, Rows
from qstore_ray.train.recorder import Journal, Memory, Recorder
from qstore_ray.train.reporter import Reporter
from qstore_ray.train.state import TrainState
from qstore_ray.train.stepper import Stepper
from qstore_ray.train.sync import Reducer
from qstore_ray.train.validation import Validation

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, FloatArray, IntArray

_STOP, _SAVE, _REPORT, _END = 1, 2, 4, 8
_TRAINED = "trained_theta"
"""In the last checkpoint: the parameters of the last step, where callbacks put others in place."""


def run(job: Assignment, rows: TrainingRows, reducer: Reducer, reporter: Reporter) -> Outcome:
    """Train from the last checkpoint (or from the start) to the last epoch, or until told to stop.

    Called in every worker, with the same job and rows.

    Raises:
        DivergenceError: loss, gradient or parameters became NaN or infinite.
        CheckpointError: no checkpoint is readable, or one cannot be written.
        CallbackError: a callback raised (worker 0).
    """
    return _Loop(job, rows, reducer, reporter).run()


def batches_of(config: TrainerConfig, y: AnyArray) -> Batches:
    """Which rows come together in each step of each epoch."""
    size = config.batch_size * config.accumulate
    if config.batches == "balanced":
        return BalancedBatches(labels=y, batch_size=size, seed=config.seed)
    return StandardBatches(n_rows=len(y), batch_size=size, seed=config.seed)


class _Loop:
    def __init__(
        self, job: Assignment, rows: TrainingRows, reducer: Reducer, reporter: Reporter
    ) -> None:
        config = job.config
        self.job, self.rows, self.reducer, self.reporter = job, rows, reducer, reporter
        backend = job.backend or open_backend(
            config.backend, config.backend_options, threads=job.threads
        )
        self.objective = Objective(job.model, backend, config.gradient, reducer)
        self.stepper = Stepper(config, self.objective)
        self.validation = Validation(job, rows, self.objective)
        self.batches = batches_of(config, rows.y)
        self.steps_per_epoch = len(self.batches.of_epoch(0))
        self.rows_per_epoch = 0
        # Only worker 0 keeps a journal and calls the callbacks.
        self.journal = self._journal() if reducer.rank == 0 else None
        self.hooks: Hooks | None = None

    def run(self) -> Outcome:
        """Restore, and train to the end."""
        with ExitStack() as stack:
            if self.journal:
                stack.callback(self.journal.close)
            stack.push(self._leave)
            return self._run()

    def _leave(self, kind: Any, error: BaseException | None, trace: Any) -> bool:
        if error is not None and self.hooks:
            self.hooks("on_exception", error)
        return False

    def _run(self) -> Outcome:
        began, state = time.monotonic(), self._restore()
        first_sample, stopped = state.samples, False
        self._call("on_train_begin", state)
        while not (stopped or self._over(state)):
            self._call("on_epoch_begin", state)
            state, stopped = self._steps(state)
            if not stopped:
                state, stopped = self._end_epoch(state)
        status = "interrupted" if stopped else "finished"
        reason = self.hooks.run.ending[1] if self.hooks and self.hooks.run.ending else ""
        if self.journal:
            self._tell_checkpoint(wait=True)
            self.journal.end(status, reason)
        seconds, samples = time.monotonic() - began, state.samples - first_sample
        records = tuple(self.journal.records) if isinstance(self.journal, Memory) else ()
        return Outcome(status, state.theta, seconds, samples, reason, records)

    def _over(self, state: TrainState) -> bool:
        return bool(state.ended) or state.epoch >= self.job.config.epochs

    # ----------------------------------------------------------------------------- the beginning

    def _journal(self) -> Journal:
        return Memory() if self.job.run_dir is None else Recorder(self.job, self.job.run_dir)

    def _warnings(self) -> list[str]:
        regression = self.job.model.loss.goal == "regression"
        same = nothing_to_learn(self.rows.y) if regression else ""
        return [*self.validation.warnings, *([same] if same else [])]

    def _restore(self) -> TrainState:
        horizon = Horizon(self.steps_per_epoch * self.job.config.epochs, self.steps_per_epoch)
        with under("trainer.schedule_options"):
            theta = self.job.theta
            if theta is None:
                theta = self.job.model.initial(self.job.config.seed)
            state = self.stepper.begin(theta, horizon)
        found: Checkpoint | None = None
        problems: list[CheckpointError] = []
        if self.job.run_dir:
            found, problems = latest_checkpoint(self.job.run_dir / "checkpoints")
        if found:
            known = state.to_arrays()
            state = TrainState.from_arrays({name: found.arrays[name] for name in known}, state)
            if _TRAINED in found.arrays and not self._over(state):  # the run was made longer
                state = replace(state, theta=found.arrays[_TRAINED])
        self.objective.usage = state.usage
        if self.journal:
            self.journal.start(
                state, problems, rows=len(self.rows.x), steps_per_epoch=self.steps_per_epoch,
                workers=self.reducer.world_size,
            )  # fmt: skip
            for warning in self._warnings():
                self.journal.warn(warning)
            self.hooks = Hooks(self.job.callbacks, self._view(state, self.journal))
            self.hooks.restore(found.arrays if found else {})
        return state

    def _view(self, state: TrainState, journal: Journal) -> Run:
        return Run(
            model=self.job.model,
            config=self.job.config,
            run_dir=self.job.run_dir,
            steps_per_epoch=self.steps_per_epoch,
            state=state,
            journal=journal,
        )

    # ----------------------------------------------------------------------------------- a step

    def _steps(self, state: TrainState) -> tuple[TrainState, bool]:
        """The remaining steps of the running epoch; True if told to stop."""
        batches = self.batches.of_epoch(state.epoch)
        self.rows_per_epoch = sum(map(len, batches))
        weight = self._weight(batches)
        for index in batches[state.step_in_epoch :]:
            self._call("on_batch_begin", state)
            self.objective.wish = self._wishes()
            rows = Rows(self.rows.x, self.rows.y, index, self.rows.row, weight)
            state, done = self.stepper.step(state, rows)
            if self.journal:
                self.journal.step(state, done.loss)
            self._call("on_batch_end", state, done)
            wishes = self.objective.take_heard()
            if self.reducer.world_size == 1:  # nobody else has to hear of it first
                wishes |= self._callbacks_stop()
            if wishes & (_SAVE | _STOP):
                self._save(state)
            if wishes & _STOP:
                return state, True
        return state, False

    def _weight(self, batches: list[IntArray]) -> FloatArray | None:
        """The rows' weights (N,), 1 on the mean over the rows of the epoch; see `learn.weights`."""
        weight = self.rows.weight
        return None if weight is None else weight / weight[np.concatenate(batches)].mean()

    def _wishes(self) -> int:
        """Worker 0's wishes for this step."""
        if self.journal is None or self.hooks is None:
            return 0
        stop = _STOP if self.reporter.should_stop() else self._callbacks_stop()
        return stop | (_SAVE if self.journal.save_is_due() else 0)

    def _callbacks_stop(self) -> int:
        ending = self.hooks.run.ending if self.hooks else None
        return _STOP if ending is not None and ending[0] == "stop" else 0

    # -------------------------------------------------------------------------- the end of an epoch

    def _end_epoch(self, state: TrainState) -> tuple[TrainState, bool]:
        """Validate, record, and save; the state at the start of the next epoch, True if to stop."""
        record = self._record(state)
        wishes = self.objective.take_heard()
        state = replace(
            state,
            epoch=state.epoch + 1,
            step_in_epoch=0,
            sums=np.zeros(4),
            metric=monitored(record, self._monitor),
            usage=self.objective.usage,
        )
        if self.hooks:
            if len(self.rows.x_val):
                self._call("on_validation_end", state, record)
            self._call("on_epoch_end", state, record)
            record |= self.hooks.run.take_logged()
        if self.journal:
            self.journal.epoch(record)
        ending = self._agreed()
        state = replace(state, ended=int(ending == _END))
        if self._over(state):
            state = self._finish(state)
        elif state.epoch % self.job.config.checkpoint_every_epochs == 0 or ending == _STOP:
            self._save(state)
        if wishes & _REPORT:
            self.reporter.metrics(record)
        return state, ending == _STOP and not self._over(state)

    def _record(self, state: TrainState) -> Record:
        """The numbers of an epoch; the same on every worker."""
        loss, count, correct, norm = state.sums
        if count != self.rows_per_epoch:
            raise RunError(
                f"epoch {state.epoch} used {count:.0f} rows of {self.rows_per_epoch}", value=count
            )
        if self.journal and self.journal.report_is_due():
            self.objective.wish = _REPORT
        validation, metrics = self.validation.score(state.theta)
        record: Record = {"epoch": state.epoch, "step": state.step, "samples": state.samples}
        record |= self._scores("train", loss, count, correct)
        if validation.n_rows:
            record |= self._scores("val", validation.loss, validation.n_rows, validation.correct)
            record |= metrics
        record["learning_rate"] = state.learning_rate
        if norm:
            record["gradient_norm"] = norm / self.steps_per_epoch
        circuits, shots = map(int, self.objective.usage)
        record["circuit_evaluations"] = circuits
        if shots:
            record["shots"] = shots
        return record

    def _scores(self, split: str, loss: float, count: float, correct: float) -> dict[str, float]:
        accuracy = {f"{split}_accuracy": correct / count} if self._classifies else {}
        return {f"{split}_loss": loss / count, **accuracy}

    def _agreed(self) -> int:
        """What the callbacks decided at the end of an epoch, on every worker."""
        ending = self.hooks.run.ending if self.hooks else None
        own = 0 if ending is None else {"stop": _STOP, "end": _END}[ending[0]]
        if self.reducer.world_size == 1 or not self.job.callbacks:
            return own
        return int(self.reducer.broadcast(np.array([float(own)]))[0])

    def _finish(self, state: TrainState) -> TrainState:
        """After the last epoch: the callbacks may put other parameters in place."""
        self._call("on_train_end", state)
        replacement = self.hooks.run.replacement if self.hooks else None
        theta = state.theta if replacement is None else replacement
        if self.job.callbacks:
            theta = self.reducer.broadcast(theta)
        trained, state = state.theta, replace(state, theta=theta)
        self._save(state, {} if replacement is None else {_TRAINED: trained})
        return state

    # ------------------------------------------------------------------------------------- worker 0

    def _call(self, hook: str, state: TrainState, *arguments: Any) -> None:
        if self.hooks:
            self.hooks.run.state = state
            self.hooks(hook, *arguments)

    def _save(self, state: TrainState, extra: Mapping[str, AnyArray] | None = None) -> None:
        if self.journal and self.hooks:
            self._tell_checkpoint(wait=True)  # one at a time
            self.journal.save(state, {**self.hooks.arrays(), **(extra or {})})

    def _tell_checkpoint(self, *, wait: bool = False) -> None:
        path = self.journal.written(wait=wait) if self.journal else None
        if path and self.hooks:
            self.reporter.checkpoint(path)
            self.hooks("on_checkpoint", path)

    @property
    def _classifies(self) -> bool:
        return self.job.model.loss.classification

    @property
    def _monitor(self) -> str:
        automatic = "val_loss" if len(self.rows.x_val) else "train_loss"
        return self.job.config.monitor or automatic

"""The training loop. It runs, unchanged, in this process or in every Ray Train worker.

For each epoch the rows are ordered by (seed, epoch) and cut into batches. A step asks the
`TrainingObjective` for the gradient over a batch (or lets the optimizer ask it for what it needs),
which all workers compute together, so θ has the same bits on every worker and for any number of
workers. Worker 0 also keeps the run's journal and calls the callbacks; what it asks of all workers
(stop, save, report) is sent with the sums, so that all act on it after the same step. The others
have a journal that keeps nothing and no callbacks; they ask for one thing, to regroup.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from qstore_ray.backends.paid import of_run
from qstore_ray.errors import (
    BudgetReachedError,
    CheckpointError,
    FailedJobError,
    RunError,
    ServiceError,
    under,
)
from qstore_ray.learn.diagnostics.stopping import monitored
from qstore_ray.learn.schedules import Horizon
from qstore_ray.learn.targets import nothing_to_learn
from qstore_ray.track.base import Record
from qstore_ray.train.callbacks.run import Run
from qstore_ray.train.distributed.exchange import open_exchange
from qstore_ray.train.job import AnyRows, Assignment, WorkerResult
from qstore_ray.train.loop.control import Control
from qstore_ray.train.loop.hooks import Hooks
from qstore_ray.train.loop.objective import TrainingObjective
from qstore_ray.train.loop.reducer import Reducer
from qstore_ray.train.loop.reporter import Reporter
from qstore_ray.train.loop.source import open_batches
from qstore_ray.train.loop.stepper import Stepper
from qstore_ray.train.loop.validation import Validation
from qstore_ray.train.privacy.steps import forget_noise, open_private
from qstore_ray.train.run.chain import ChainPlace, place_in_chain
from qstore_ray.train.run.checkpoint import Checkpoint, latest_checkpoint
from qstore_ray.train.run.recorder import Journal, Memory, Recorder
from qstore_ray.train.run.state import TrainState

if TYPE_CHECKING:
    from qstore_ray.backends.failover import FallbackStep
    from qstore_ray.types import AnyArray

Status = Literal["finished", "interrupted", "regroup"]
_ENDINGS = (None, "stop", "end")
"""How callbacks may end a run; the place of one is what worker 0 broadcasts."""
SavedRun = tuple[Checkpoint | None, list[CheckpointError]]
"""The newest readable checkpoint, and why newer ones were passed over."""
_TRAINED = "trained_theta"
"""In the last checkpoint: the parameters of the last step, where callbacks put others in place."""


def run(job: Assignment, rows: AnyRows, reducer: Reducer, reporter: Reporter) -> WorkerResult:
    """Train from the last checkpoint (or the start) to the last epoch, or until a stop request.

    Called in every worker, with the same job and rows. If the backend fails, the next one of the
    chain (`trainer.fallback`) continues from the last whole step, as a run that is resumed does. A
    backend that reaches its budget, and has no such successor, stops the run after the last whole
    step, as a stop request does. After each such failure a checkpoint has the last whole step.

    Raises:
        DivergenceError: loss, gradient or parameters became NaN or infinite.
        CheckpointError: no checkpoint is readable, or one cannot be written.
        CallbackError: a callback raised (worker 0).
        ServiceError, FailedJobError: the backend failed, and no other one takes over.
    """
    while True:
        result = _run_member(job, rows, reducer, reporter)
        if result is not None:
            return result


def _run_member(
    job: Assignment, rows: AnyRows, reducer: Reducer, reporter: Reporter
) -> WorkerResult | None:
    """Train with the backend that the run is on; None if another one of the chain is to continue.

    Then the last checkpoint says so.
    """
    saved: SavedRun = (None, []) if job.run_dir is None else latest_checkpoint(job.checkpoints)
    manifest = None if saved[0] is None else saved[0].manifest
    place = place_in_chain(job.config, manifest, job.generation)
    loop = _Loop(job.on_member(place), rows, reducer, reporter, saved)
    with ExitStack() as stack:
        stack.callback(loop.journal.close)
        began, state = time.monotonic(), loop.restore()
        stack.push(loop.leave)
        first_sample, stopped = state.samples, False
        loop.call("on_train_begin", state)
        if manifest is not None and not loop.is_over(state):
            loop.keep(place, manifest.get("fallbacks", []))
        reason = limit = ""
        try:
            while not (stopped or loop.is_over(state)):
                loop.call("on_epoch_begin", state)
                state, stopped = loop.steps(state)
                if not stopped:
                    state, stopped = loop.end_epoch(state)
        except (BudgetReachedError, ServiceError, FailedJobError) as exc:
            state = loop.hooks.run.state  # after the last whole step: all workers get the error
            successor = place.after(
                exc, epoch=state.epoch, step=state.step, backend=loop.job.backend
            )
            if successor is not None and job.run_dir is not None:
                loop.fall_back(successor)
                return None
            state = loop.save_last()
            if not isinstance(exc, BudgetReachedError):
                raise
            stopped, reason, limit = True, exc.message, exc.field
        status: Status = "interrupted" if stopped else "finished"
        status = "regroup" if loop.regroups else status
        reason = loop.close(status, reason)
        return WorkerResult(
            status,
            state.theta,
            time.monotonic() - began,
            state.samples - first_sample,
            reason,
            tuple(loop.journal.records),
            limit,
        )


class _Loop:
    def __init__(
        self,
        job: Assignment,
        rows: AnyRows,
        reducer: Reducer,
        reporter: Reporter,
        saved: SavedRun,
    ) -> None:
        config = job.config
        self._saved = saved
        self.job, self.rows, self.reducer, self.reporter = job, rows, reducer, reporter
        backend = job.backend or config.open_backend(job.threads)
        backend = of_run(backend, job.identity)
        self.objective = TrainingObjective(
            job.model, backend, config.gradient, reducer, config.gradient_options
        )
        found = saved[0]
        self.private = open_private(job, rows, reducer, found.arrays if found else {})
        self.source = open_batches(config, rows, reducer, self.private)
        steps, size = self.source.steps_per_epoch, job.model.n_parameters
        self.exchange = open_exchange(config, reducer, steps, size)
        self.stepper = Stepper(config, self.objective, self.private, exchange=self.exchange)
        self.validation = Validation(job, rows, self.objective, self.source)
        self.steps_per_epoch = steps
        self.rows_per_epoch = 0
        self.is_first = reducer.rank == 0
        self.journal = self._journal()

    hooks: Hooks  # set by `restore`
    regroups = False  # whether the run stopped for another group of workers to continue it

    def leave(self, kind: Any, error: BaseException | None, trace: Any) -> bool:
        """Report an error that ends the run to the callbacks; it is raised again afterwards."""
        if error is not None:
            self.hooks("on_exception", error)
        return False

    def save_last(self) -> TrainState:
        """Save the state after the last whole step."""
        state = self.hooks.run.state
        self._save(state)
        return state

    def keep(self, place: ChainPlace, known: list[FallbackStep]) -> None:
        """Save the state if the run has returned to its first backend since `known`."""
        if list(place.steps) != known:
            self.save_last()

    def fall_back(self, place: ChainPlace) -> None:
        """Save the state after the last whole step for the next backend of the chain.

        It returns in all workers when the checkpoint is on the disk.
        """
        self.journal.fell_back(place.steps)
        self.save_last()
        self._tell_checkpoint(wait=True)
        self.reducer.broadcast(np.zeros(1))

    def close(self, status: Status, reason: str = "") -> str:
        """Wait for the last checkpoint and end the journal; why the run was ended, or ""."""
        ending = self.hooks.run.ending
        reason = ending.reason if ending else reason
        if self.private is not None and not reason:
            reason = self.private.reason(self.hooks.run.state, self.job.config.epochs)
        self._tell_checkpoint(wait=True)
        if self.is_first and status == "finished":
            forget_noise(self.job)
        if status == "regroup":
            self.reducer.broadcast(np.zeros(1))  # no worker leaves before it is on the disk
        else:
            self.journal.end(status, reason)
        return reason

    def is_over(self, state: TrainState) -> bool:
        """Whether no epoch is left, a callback has ended the run, or its ε is spent."""
        spent = self.private is not None and self.private.is_spent(state)
        return bool(state.ended) or state.epoch >= self.job.config.epochs or spent

    def _journal(self) -> Journal:
        if not self.is_first:
            return Memory(shown=None)
        return Memory() if self.job.run_dir is None else Recorder(self.job, self.job.run_dir)

    def _warnings(self) -> list[str]:
        regression = self.job.model.loss.goal == "regression"
        same = nothing_to_learn(self.rows.y) if regression else ""
        return [*self.validation.warnings, *([same] if same else [])]

    def restore(self) -> TrainState:
        """The state of the last checkpoint, or the first; journal and callbacks begin with it."""
        horizon = Horizon(self.steps_per_epoch * self.job.config.epochs, self.steps_per_epoch)
        with under("trainer.schedule_options"):
            theta = self.job.theta
            if theta is None:
                theta = self.job.model.initial(self.job.config.seed)
            state = self.stepper.begin(theta, horizon)
        found, problems = self._saved
        if found:
            known = state.to_arrays()
            state = TrainState.from_arrays({name: found.arrays[name] for name in known}, state)
            state = self.exchange.resume(state, found.arrays)
        if self.private is not None:
            state = self.private.resume(state)
        if found and _TRAINED in found.arrays and not self.is_over(state):  # it was made longer
            state = replace(state, theta=found.arrays[_TRAINED])
        self.objective.usage = state.usage
        self.journal.start(
            state, problems, rows=self.rows.n_rows, steps_per_epoch=self.steps_per_epoch,
            workers=self.reducer.world_size,
        )  # fmt: skip
        for warning in self._warnings():
            self.journal.warn(warning)
        callbacks = self.job.callbacks if self.is_first else ()
        self.hooks = Hooks(callbacks, self._view(state))
        self.hooks.restore(found.arrays if found else {})
        return state

    def _view(self, state: TrainState) -> Run:
        return Run(
            model=self.job.model,
            config=self.job.config,
            run_dir=self.job.run_dir,
            steps_per_epoch=self.steps_per_epoch,
            state=state,
            journal=self.journal,
        )

    def steps(self, state: TrainState) -> tuple[TrainState, bool]:
        """The remaining steps of the running epoch; True if all workers are to stop."""
        self.rows_per_epoch = self.source.rows_of_epoch(state.epoch)
        for rows in self.source.steps(state.epoch, state.step_in_epoch):
            self.call("on_batch_begin", state)
            self.objective.control = self._asked()
            state, done = self.stepper.step(state, rows)
            if done.n_rows:
                self.journal.step(state, done.loss)
            self.call("on_batch_end", state, done)
            said, facts = self.exchange.take_note()
            if said:
                self.journal.note(said, facts)
            control = self.objective.take_control()
            if self.reducer.world_size == 1:  # no other worker must receive it first
                control |= Control(stop=self._callbacks_stop())
            if control.save or control.stop or control.regroup:
                self._save(state)
            if control.stop or control.regroup:
                self.regroups = not control.stop
                return state, True
        return state, False

    def _asked(self) -> Control:
        """What this worker asks of all workers in this step."""
        regroup = self.reporter.should_regroup()
        if not self.is_first:
            return Control(regroup=regroup)
        stop = self.reporter.should_stop() or self._callbacks_stop()
        return Control(stop=stop, save=self.journal.save_is_due(), regroup=regroup)

    def _callbacks_stop(self) -> bool:
        ending = self.hooks.run.ending
        return ending is not None and ending.kind == "stop"

    def end_epoch(self, state: TrainState) -> tuple[TrainState, bool]:
        """Validate, record, and save; the state at the start of the next epoch, True if to stop."""
        record = self._record(state)
        state = replace(
            state,
            epoch=state.epoch + 1,
            step_in_epoch=0,
            sums=np.zeros(4),
            metric=monitored(record, self._monitor) if state.sums[1] else state.metric,
            usage=self.objective.usage,
        )
        if self.rows.n_val:
            self.call("on_validation_end", state, record)
        self.call("on_epoch_end", state, record)
        record |= self.hooks.run.take_logged()
        self.journal.epoch(record)
        ending = self._agreed()
        state = replace(state, ended=int(ending == "end"))
        if self.is_over(state):
            state = self._finish(state)
        elif state.epoch % self.job.config.checkpoint_every_epochs == 0 or ending == "stop":
            self._save(state)
        return state, ending == "stop" and not self.is_over(state)

    def _record(self, state: TrainState) -> Record:
        """The numbers of an epoch; the same on every worker."""
        loss, count, correct, norm = state.sums
        if count != self.rows_per_epoch:
            raise RunError(
                f"epoch {state.epoch} used {count:.0f} rows of {self.rows_per_epoch}", value=count
            )
        self.objective.for_testing(self.job.config.seed, state.step)
        validation, metrics = self.validation.score(state.theta)
        record: Record = {"epoch": state.epoch, "step": state.step, "samples": state.samples}
        if count:  # a short private epoch may draw no row
            record |= self._scores("train", loss, count, correct)
        if validation.n_rows:
            record |= self._scores("val", validation.loss, validation.n_rows, validation.correct)
            record |= metrics
        record["learning_rate"] = state.learning_rate
        if norm:
            record["gradient_norm"] = norm / state.step_in_epoch
        if self.private is not None:
            record |= self.private.metrics(state)
        circuits, shots = map(int, self.objective.usage)
        record["circuit_evaluations"] = circuits
        if shots:
            record["shots"] = shots
        if fallbacks := self.job.manifest.get("fallbacks"):
            record["fallbacks"] = len(fallbacks)
        return record

    def _scores(self, split: str, loss: float, count: float, correct: float) -> dict[str, float]:
        accuracy = {f"{split}_accuracy": min(1.0, correct / count)} if self._classifies else {}
        return {f"{split}_loss": loss / count, **accuracy}

    def _agreed(self) -> str | None:
        """How the callbacks end the run after this epoch, on every worker; None if they do not."""
        ending = self.hooks.run.ending
        own = _ENDINGS.index(ending.kind if ending else None)
        if self.reducer.world_size > 1 and self.job.callbacks:
            own = int(self.reducer.broadcast(np.array([float(own)]))[0])
        return _ENDINGS[own]

    def _finish(self, state: TrainState) -> TrainState:
        """After the last epoch: the callbacks may put other parameters in place."""
        self.call("on_train_end", state)
        replacement = self.hooks.run.replacement
        theta = state.theta if replacement is None else replacement
        if self.job.callbacks:
            theta = self.reducer.broadcast(theta)
        trained, state = state.theta, replace(state, theta=theta)
        if self.private is not None:
            state = self.private.finished(state)
        self._save(state, {} if replacement is None else {_TRAINED: trained})
        return state

    def call(self, hook: str, state: TrainState, *arguments: Any) -> None:
        """Call a hook of the callbacks, who see `state`."""
        self.hooks.run.state = state
        self.hooks(hook, *arguments)

    def _save(self, state: TrainState, extra: Mapping[str, AnyArray] | None = None) -> None:
        self._tell_checkpoint(wait=True)  # one at a time
        own = {**self.hooks.arrays(), **self.exchange.arrays(state)}
        self.journal.save(state, {**own, **(extra or {})})

    def _tell_checkpoint(self, *, wait: bool = False) -> None:
        path = self.journal.written(wait=wait)
        if path is not None:
            self.hooks("on_checkpoint", path)

    @property
    def _classifies(self) -> bool:
        return self.job.model.loss.classification

    @property
    def _monitor(self) -> str:
        automatic = "val_loss" if self.rows.n_val else "train_loss"
        return self.job.config.monitor or automatic

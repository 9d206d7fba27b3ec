"""Callbacks: user code that runs at fixed points of a training run.

    class Thermometer(Callback):
        def on_epoch_end(self, run, record):
            run.log(room_celsius=read_sensor())

    QuantumTrainer(model, trainer, callbacks=[EarlyStopping(patience=5), Thermometer()])

Every hook runs in worker 0, between two steps, while the other workers wait: in this process for a
run without workers, else in a Ray Train worker. (Trackers and progress displays, by contrast, run
in the driver process and cost the training nothing; they are given to the trainer in the same
list.) A callback is copied when a run begins, so that one object may serve several runs, and it is
pickled on its way to a worker.

The order in a run:

    on_train_begin                        the state is restored, no step is done yet
      on_epoch_begin
        on_batch_begin  on_batch_end      each step
        on_validation_end                 the validation split was scored, if there is one
        on_epoch_end                      `record` is complete; what `run.log` adds goes into it
      on_checkpoint                       a checkpoint is on disk (later: another thread writes it)
    on_train_end                          after the last epoch, before the last checkpoint
    on_exception                          the run ends with an error instead

What a callback raises ends the run with a `CallbackError`, resumable from the last checkpoint,
unless its `on_error` is "warn": then the warning is recorded and shown, and training continues.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import numpy as np

from qstore_ray.errors import ConfigError, unknown_name_error
from qstore_ray.learn.step import row_variance

if TYPE_CHECKING:
    from qstore_ray.learn.model import QuantumModel
    from qstore_ray.track.base import Record
    from qstore_ray.train.config import TrainerConfig
    from qstore_ray.train.run.recorder import Journal
    from qstore_ray.train.run.state import TrainState
    from qstore_ray.types import AnyArray, FloatArray


class Batch(NamedTuple):
    """A step that was done.

    Attributes:
        loss: mean loss of its rows, before the step.
        gradient: ∂loss/∂θ (P,) that the step used; not to be changed.
        n_rows: rows of all workers together.
        blocks: what the gradient is the sum of, (blocks, P + 3); see `learn.step`.

    Examples:
        batch = Batch(loss=0.7, gradient=np.zeros(2), n_rows=8, blocks=np.zeros((1, 5)))
        assert batch.loss == 0.7 and np.isnan(batch.gradient_noise())
    """

    loss: float
    gradient: FloatArray
    n_rows: int
    blocks: FloatArray

    def gradient_noise(self) -> float:
        """The standard error of the gradient's norm, from its spread over the rows.

        √(Σ_i σ_i² / B) for the variance σ_i² of ∂loss/∂θ_i from row to row; NaN for fewer than two
        blocks of rows, or an optimizer that takes no gradient.
        """
        return math.sqrt(row_variance(self.blocks).sum() / self.n_rows)


class EndRequest(NamedTuple):
    """How a callback wants the run to end: `stop` interrupts it, `end` finishes it; and why."""

    kind: Literal["stop", "end"]
    reason: str


@dataclass
class Run:
    """A run as a callback sees it, and what a callback may ask of it. Lives in worker 0.

    Attributes:
        model: the function that is trained. config: how.
        run_dir: the run folder; None for a run that is not recorded (an estimator's).
        steps_per_epoch: steps of one epoch.
        state: parameters, counters and optimizer state; never changed, only replaced.
        journal, logged, ending, replacement: the loop's side of the methods below.

    Examples:
        class StopAfterTen(Callback):
            def on_batch_end(self, run: Run, batch: Batch) -> None:
                if run.state.step == 10:
                    run.stop("ten steps were enough")
    """

    model: QuantumModel
    config: TrainerConfig
    run_dir: Path | None
    steps_per_epoch: int
    state: TrainState
    journal: Journal = field(repr=False)
    logged: dict[str, float] = field(default_factory=dict)
    ending: EndRequest | None = None
    replacement: FloatArray | None = None

    @property
    def theta(self) -> FloatArray:
        """The parameters (P,), read only."""
        view = self.state.theta.view()
        view.flags.writeable = False
        return view

    def log(self, **metrics: float) -> None:
        """Add numbers to the record of the running epoch; trackers get them too.

        Raises:
            ConfigError: a value that is NaN or infinite.
        """
        for name, value in metrics.items():
            if not np.isfinite(value):
                raise ConfigError("a metric is NaN or infinite", field=name, value=value)
        self.logged |= metrics

    def warn(self, message: str) -> None:
        """Record a warning and show it to the user."""
        self.journal.warn(message)

    def note(self, message: str, **facts: float | str) -> None:
        """Record something worth knowing, with its numbers, and show it to the user."""
        self.journal.note(message, {"step": self.state.step, **facts})

    def end(self, reason: str) -> None:
        """Finish the run after this epoch, as if it had been the last."""
        self.ending = self.ending or EndRequest("end", reason)

    def stop(self, reason: str) -> None:
        """Interrupt the run at a checkpoint: it can be resumed (exit code 5).

        A single worker stops after this step; several stop after the next one, once all have
        received the request.
        """
        self.ending = EndRequest("stop", reason)

    def replace_parameters(self, theta: FloatArray) -> None:
        """In `on_train_end`: end with other parameters (P,) than those of the last step."""
        if theta.shape != self.state.theta.shape:
            raise ConfigError(
                f"the model has {len(self.state.theta)} parameters", field="theta",
                value=theta.shape,
            )  # fmt: skip
        self.replacement = np.array(theta)

    def write_model(self, folder: Path) -> Path:
        """Write the present parameters as a checkpoint into `folder`; `TrainedModel.load` reads it.

        Raises:
            CheckpointError: the disk is full or the folder cannot be written to.
        """
        return self.journal.write_model(folder, self.state.theta, self.state)

    def take_logged(self) -> dict[str, float]:
        """What was logged since the last call; for the loop."""
        logged, self.logged = self.logged, {}
        return logged


class Callback:
    """Base of every callback: all hooks, each doing nothing. Override those you need.

    Attributes:
        on_error: `raise` ends the run when a hook raises, `warn` records it and continues.
        decides: whether the trained parameters depend on it (as with early stopping). Such a
            callback cannot be changed when a run is resumed.
        comes_last: whether it is called after the others, to see what they have logged.

    A callback that follows a metric names it as `monitor`: before a run begins it is checked that
    its epochs will have it.

    Examples:
        class LossPrinter(Callback):
            on_error = "warn"
            def on_epoch_end(self, run, record):
                print(record["train_loss"])
    """

    on_error: ClassVar[Literal["raise", "warn"]] = "raise"
    decides: ClassVar[bool] = False
    comes_last: ClassVar[bool] = False

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name in vars(cls):
            if name.startswith("on_") and name not in (*HOOKS, "on_error"):
                raise unknown_name_error("hook", name, HOOKS, field=cls.__name__)

    def logged_metrics(self, model: QuantumModel) -> Iterable[str] | None:
        """The names that it will log each epoch; None if they are not known in advance."""
        return None

    def without_validation(self) -> tuple[Callback | None, tuple[str, ...]]:
        """This callback for a run that has no validation rows, and what is different, in words.

        None if it has nothing to do there. A callback that follows a metric of val overrides it.
        """
        return self, ()

    def on_train_begin(self, run: Run) -> None:
        """Before the first step of an attempt; `run.state` may be a restored one."""

    def on_epoch_begin(self, run: Run) -> None:
        """Before the first step of an epoch, and when a resumed attempt continues it."""

    def on_batch_begin(self, run: Run) -> None:
        """Before a step."""

    def on_batch_end(self, run: Run, batch: Batch) -> None:
        """After a step; `run.state` is the new one."""

    def on_validation_end(self, run: Run, record: Record) -> None:
        """The validation split was scored: `val_loss`, `val_accuracy` are in `record`."""

    def on_epoch_end(self, run: Run, record: Record) -> None:
        """An epoch is over; `record` is what will be written, `run.log` adds to it."""

    def on_checkpoint(self, run: Run, path: Path) -> None:
        """The checkpoint at `path` is complete. It may be of an earlier step than `run.state`."""

    def on_train_end(self, run: Run) -> None:
        """After the last epoch, before the last checkpoint; not after an interruption."""

    def on_exception(self, run: Run, error: BaseException) -> None:
        """The run fails with `error`, which is raised again afterwards."""

    def state(self) -> Mapping[str, AnyArray]:
        """What a checkpoint must keep for this callback, as arrays by name."""
        return {}

    def restore(self, state: Mapping[str, AnyArray]) -> None:
        """Take back what `state` gave. Called before `on_train_begin`, in a resumed attempt."""


HOOKS = (
    "on_train_begin", "on_epoch_begin", "on_batch_begin", "on_batch_end", "on_validation_end",
    "on_epoch_end", "on_checkpoint", "on_train_end", "on_exception",
)  # fmt: skip
"""Every hook by name."""

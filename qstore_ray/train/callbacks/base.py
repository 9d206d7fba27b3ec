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

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from qstore_ray.errors import unknown_name_error
from qstore_ray.train.callbacks.run import Batch, Run

if TYPE_CHECKING:
    from qstore_ray.learn.model import QuantumModel
    from qstore_ray.track.base import Record
    from qstore_ray.types import AnyArray


class Callback:
    """Base of every callback: all hooks, each doing nothing. Override those you need.

    Attributes:
        on_error: `raise` ends the run when a hook raises, `warn` records it and continues.
        decides: whether the trained parameters depend on it (as with early stopping). Such a
            callback cannot be changed when a run is resumed.
        ends_early: whether it may end the run before its last epoch; a forecast says so.
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
    ends_early: ClassVar[bool] = False
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

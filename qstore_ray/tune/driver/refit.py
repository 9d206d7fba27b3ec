"""The final training of a search: the best configuration once more, on train and val together.

During the search, val decided which configuration is best. The final training does not need it, so
its rows are added to train, and everything that monitored val is removed or monitors train instead.
The changes are listed in words, since the result is not the best trial's run:

    refit, notes = refit_job(best, epochs=12)

The job that comes out is a job like any other: written as TOML, `qstore train` repeats it.
"""

from __future__ import annotations

from typing import Any, Generic, NamedTuple, TypeVar

from qstore_ray.errors import ConfigError
from qstore_ray.learn.schedules import get_schedule
from qstore_ray.learn.scoring import of_train
from qstore_ray.train.callbacks import as_callback, as_table
from qstore_ray.train.config import TrainerConfig, TrainingJob
from qstore_ray.tune.trial.parts import Part, part_job

Job = TypeVar("Job", bound=TrainingJob)


class Refit(NamedTuple, Generic[Job]):
    """The job of the final training, and what is different in it, a sentence each."""

    job: Job
    notes: tuple[str, ...]


def refit_job(best: Job, epochs: int | None = None, *, folds: int | None = None) -> Refit[Job]:
    """The best job on train ∪ val, with nothing left that watches val; test has the same rows.

    Without early stopping the number of epochs has to be known. Fewer epochs than the job has also
    shorten its schedule: a cosine reaches 0 after these epochs, where in the trial it was cut off.

    Args:
        best: the job of the best trial.
        epochs: that it trained for, or at which it was best; those of the job if None.
        folds: of the cross-validation that it was chosen by, whose test rows are kept.

    Raises:
        ConfigError: val is in train already, or a split that cannot have folds.
    """
    if best.dataset.split.merge_val:
        raise ConfigError(
            "val is in train already",
            field="dataset.split.merge_val",
            value=True,
            fix="Train the job as it is.",
        )
    notes = ["dataset.split.merge_val = true: the rows of val are part of train"]
    if folds is not None:
        best = part_job(best, Part(0, best.trainer.seed, ""), folds)
        notes[0] += f", which makes one train of all {folds} folds"
    split = best.dataset.split.model_copy(update={"merge_val": True})
    dataset = best.dataset.model_copy(update={"split": split})
    trainer = _without_val(best.trainer, epochs, notes)
    job = best.model_copy(update={"dataset": dataset, "trainer": trainer})
    return Refit(job, tuple(notes))


def _without_val(config: TrainerConfig, epochs: int | None, notes: list[str]) -> TrainerConfig:
    changes: dict[str, Any] = {"metrics": ()}  # they are of val
    if epochs is not None and epochs != config.epochs:
        changes["epochs"] = epochs
        notes.append(f"trainer.epochs = {epochs}, as in the best trial, instead of {config.epochs}")
    schedule = get_schedule(config.schedule, config.schedule_options)
    if config.monitor is not None and _of_val(config.monitor):
        # Not the loss in place of an accuracy: the schedule's mode may be "max".
        changes["monitor"] = of_train(config.monitor)
        notes.append(f"trainer.monitor = {changes['monitor']} instead of {config.monitor}")
    elif config.monitor is None and schedule.cadence == "metric":
        notes.append("the schedule follows train_loss instead of val_loss")
    kept = [_changed(table, notes) for table in config.callbacks]
    changes["callbacks"] = [table for table in kept if table is not None]
    return TrainerConfig(**{**config.to_dict(), **changes})


def _changed(table: dict[str, Any], notes: list[str]) -> dict[str, Any] | None:
    """The callback for a training without val; None if it has nothing left to do."""
    changed, said = as_callback(table).without_validation()
    notes += said
    return None if changed is None else as_table(changed)


def _of_val(metric: str) -> bool:
    return metric.startswith("val_")

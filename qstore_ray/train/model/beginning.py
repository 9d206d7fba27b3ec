"""Starting a training from existing parameters: a warm start from a model, or the extension of a
run of fewer epochs.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from qstore_ray.errors import ConfigError, RunExistsError
from qstore_ray.learn.model import QuantumModel
from qstore_ray.learn.schedules import Horizon, Schedule, Tick, get_schedule
from qstore_ray.train.config import TrainerConfig
from qstore_ray.train.loop.source import batches_of
from qstore_ray.train.model.trained import TrainedModel
from qstore_ray.train.run.checkpoint import latest_checkpoint
from qstore_ray.train.run.same_run import InitFrom, epochs_of
from qstore_ray.train.run.writing import read_run_record

if TYPE_CHECKING:
    from qstore_ray.types import AnyArray, FloatArray


@dataclass(frozen=True)
class Beginning:
    """Parameters to begin with.

    Attributes:
        theta: (P,). facts: where they are from, for the record of the run.
    """

    theta: FloatArray
    facts: InitFrom

    @property
    def recipe(self) -> dict[str, str]:
        """What decides the result: the parameters, wherever they lie."""
        return {"init_from": self.facts["sha256"]}


def beginning(given: TrainedModel | str | Path, model: QuantumModel) -> Beginning:
    """The parameters of a trained model, for `model`.

    Args:
        given: a model, or what `TrainedModel.load` reads.

    Raises:
        ConfigError: it is a model of another circuit, other observables or other layers.
        UsageError: there is no such model file.
        CheckpointError: there is no readable model.
    """
    if not isinstance(given, TrainedModel | str | Path) or given == "":
        raise ConfigError(
            "a run begins from a model, a run folder or a .qsm file",
            field="trainer.init_from",
            value=given,
        )
    trained = given if isinstance(given, TrainedModel) else TrainedModel.load(given)
    where = trained.origin.run if isinstance(given, TrainedModel) else str(given)
    own, other = model, trained.model
    differs = [
        name
        for name, same in (
            ("circuit", own.circuit.template == other.circuit.template),
            ("observables", own.observables == other.observables),
            (f"number of parameters, {own.n_parameters}", own.n_parameters == other.n_parameters),
        )
        if not same
    ]
    if differs:
        raise ConfigError(
            f"the model to begin from has another {differs[0]}",
            field="trainer.init_from",
            value=where or f"{other.n_parameters} parameters",
            fix="Take a model of the same circuit, observables, layers and head.",
        )
    theta = np.array(trained.theta, dtype=float)
    digest = hashlib.sha256(theta.tobytes()).hexdigest()
    facts: InitFrom = {"from": where, "step": trained.origin.step, "sha256": digest}
    return Beginning(theta, facts)


def check_longer(
    config: TrainerConfig,
    epochs: int,
    steps_per_epoch: int,
    run_dir: Path,
    field: str = "trainer.epochs",
) -> None:
    """Raise if a run of `epochs` epochs cannot continue to those of `config` with the result of
    a run that had that many from the start.

    Raises:
        RunExistsError: its schedule was laid out for its length, or a callback has ended it.
    """
    schedule = get_schedule(config.schedule, config.schedule_options)
    steps = steps_per_epoch * config.epochs
    lengths = (steps_per_epoch * epochs, steps)
    laid_out = [_factors(schedule, Horizon(length, steps_per_epoch), steps) for length in lengths]
    new_run = "Begin a new run from its parameters: trainer.init_from."
    if laid_out[0] != laid_out[1]:
        raise RunExistsError(
            f"the schedule {config.schedule!r} of this run was laid out for its {epochs} epochs",
            field=field,
            value=config.epochs,
            fix=f"{new_run} A schedule such as constant, step or plateau can be made longer.",
        )
    found, _ = latest_checkpoint(run_dir / "checkpoints")
    if found is not None and int(found.arrays.get("ended", 0)):
        raise RunExistsError(
            "a callback has ended this run, which more epochs do not change",
            field=field,
            value=config.epochs,
            fix=new_run,
        )


def _factors(schedule: Schedule, horizon: Horizon, steps: int) -> list[float]:
    """The factors of `steps` steps of a schedule that was laid out for `horizon`, under a metric
    that goes up and down.
    """
    state, factors = schedule.init(horizon), []
    for step in range(steps):
        epoch, within = divmod(step, horizon.steps_per_epoch)
        metric = float(epoch % 5) if epoch and not within else None
        factor, state = schedule.update(state, Tick(begins_epoch=not within, metric=metric))
        factors.append(factor)
    return factors


def check_longer_run(trainer: TrainerConfig, path: Path, y: AnyArray) -> None:
    """Refuse to continue a run with more epochs where they would not have begun as it did.

    Args:
        path: the run folder. y: targets of train (N, …).

    Raises:
        ConfigError: see `check_longer`.
    """
    epochs = epochs_of(read_run_record(path))
    if epochs is not None and epochs < trainer.epochs:
        check_longer(trainer, epochs, len(batches_of(trainer, y).of_epoch(0)), path)

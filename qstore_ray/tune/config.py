"""A search as configuration: what is varied, towards what, by which sampler, with what at hand.

[tune]
objectives = [{ metric = "val_accuracy" }]
trials = 40
scheduler = "asha"

[tune.space]
"trainer.learning_rate" = { type = "float", low = 1e-3, high = 0.3, log = true }
"model.layers" = { type = "int", low = 1, high = 8 }
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from qstore_ray.config import Config
from qstore_ray.credentials import PublicUrl
from qstore_ray.errors import ConfigError
from qstore_ray.tune.objective import Objective, check_objectives
from qstore_ray.tune.samplers import get_sampler
from qstore_ray.tune.schedulers import get_scheduler
from qstore_ray.tune.space.space import Space
from qstore_ray.types import Table


class TuneConfig(Config):
    """What a search does.

    Args:
        space: the fields that are varied, and between what.
        objectives: metrics that a trial is judged by; of several, the Pareto front is searched.
        trials: how many count; those that were interrupted and repeated count once.
        sampler: chooses what a trial tries, a name of `tune.samplers.SAMPLERS` such as tpe, gp,
            cmaes, nsga2, grid, random or qmc; `sampler_options` are its own.
        scheduler: ends or changes trials while they train, a name of
            `tune.schedulers.SCHEDULERS` such as none, asha, hyperband, median, pbt or pb2;
            `scheduler_options` are its own.
        seed: of the sampler and the scheduler.
        points: to try first, each a table dotted field → value; what one leaves out is sampled.
        warm_start: earlier studies to learn from: a folder, or a database's URL, `#` and a name.
        storage_url: a database for the study (`sqlite:///studies.db`); without it a journal file
            in the study's folder. A login in it, or in `warm_start`, is used and never written
            anywhere; see `qstore_ray.tune.study.address`.
        concurrency: trials at a time; without it as many as the cluster has room for.
        workers_per_trial: Ray Train workers of a trial, instead of `trainer.num_workers`; 0 trains
            in the trial's own process, which is faster wherever one process can hold the model.
        cpus_per_trial, gpus_per_trial: what a trial without workers takes; fractions are allowed.
        resources: further resources of a trial by name, such as `{"qpu_gateway": 0.25}`.
        trial_failures: how often the process of a trial may die before the trial has failed.
        seeds: trainings of a trial, with the seeds `trainer.seed`, + 1, …; the objective is their
            mean.
        folds: k-fold cross-validation: a trial trains on every fold, the objective is the mean.
        parts_at_once: how many of a trial's trainings (seeds × folds) run at the same time.
        refit: train the best configuration once more at the end, on train and val together.
        register_as: the name under which the best trial's model is registered in MLflow.

    Examples:
        table = {"model.layers": {"type": "int", "low": 1, "high": 4}}
        config = TuneConfig(space=table, trials=40, sampler="tpe", scheduler="asha")
        assert config.trials == 40
    """

    space: Space
    objectives: tuple[Objective, ...] = (Objective(metric="val_loss"),)
    trials: int = Field(default=20, ge=1)
    sampler: str = "tpe"
    sampler_options: Table = Field(default_factory=dict)
    scheduler: str = "none"
    scheduler_options: Table = Field(default_factory=dict)
    seed: int = Field(default=0, ge=0)
    points: tuple[Table, ...] = ()
    warm_start: tuple[str, ...] = ()
    storage_url: str | None = None
    concurrency: int | None = Field(default=None, ge=1)
    workers_per_trial: int = Field(default=0, ge=0, le=1024)
    cpus_per_trial: float = Field(default=1.0, gt=0.0)
    gpus_per_trial: float = Field(default=0.0, ge=0.0)
    resources: dict[str, float] = Field(default_factory=dict)
    trial_failures: int = Field(default=2, ge=0)
    seeds: int = Field(default=1, ge=1)
    folds: int | None = Field(default=None, ge=2)
    parts_at_once: int = Field(default=1, ge=1)
    refit: bool = False
    register_as: str | None = None

    # Pydantic makes plain texts of what it checks, so what it was given is looked at, too.
    @field_validator("storage_url", mode="wrap")
    @classmethod
    def _without_login(cls, given: Any, check: Callable[[Any], str | None]) -> str | None:
        url = check(given)
        return given if isinstance(given, PublicUrl) else url and PublicUrl(url)

    @field_validator("warm_start", mode="wrap")
    @classmethod
    def _without_logins(
        cls, given: Any, check: Callable[[Any], tuple[str, ...]]
    ) -> tuple[str, ...]:
        texts = check(given)
        return tuple(
            whole if isinstance(whole, PublicUrl) else PublicUrl(text) if "://" in text else text
            for whole, text in zip(given, texts, strict=True)
        )

    @model_validator(mode="after")
    def _known_names(self) -> Self:
        """Names and options are checked where they are written, not where they are used."""
        check_objectives(self.objectives)
        get_sampler(self.sampler, self.sampler_options)
        get_scheduler(self.scheduler, self.scheduler_options)
        for name, amount in self.resources.items():
            if name in ("CPU", "GPU") or amount <= 0:
                raise ConfigError(
                    "not the amount of a custom resource",
                    field=f"resources.{name}",
                    value=amount,
                    fix="Give more than 0; CPUs and GPUs by cpus_per_trial and gpus_per_trial.",
                )
        return self

    @property
    def parts(self) -> int:
        """Trainings of one trial."""
        return self.seeds * (self.folds or 1)

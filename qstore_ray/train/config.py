"""How a model is trained, and where, as configuration."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, model_validator

from qstore_ray.backends import check_backend
from qstore_ray.config import Config
from qstore_ray.errors import unknown_name
from qstore_ray.learn.gradients import GRADIENTS
from qstore_ray.learn.optimizers import get_optimizer
from qstore_ray.learn.schedules import get_schedule


class TrainerConfig(Config):
    """What the training does; the same values give the same parameters, bit for bit.

    Args:
        epochs: passes over the training rows.
        batch_size: B, rows of one step, over all workers together.
        learning_rate: η, multiplied by the schedule's factor.
        optimizer: adam or sgd; `optimizer_options` are its own, such as `{"beta1": 0.9}`.
        schedule: cosine or constant; `schedule_options` are its own, such as `{"warmup": 0.1}`.
        gradient: auto (adjoint where the backend can), adjoint or parameter_shift.
        backend: statevector or aer; `backend_options` are its own.
        num_workers: Ray Train workers; 0 trains in this process and never starts Ray. It does not
            change the result.
        seed: of initial parameters and the order of rows.
        checkpoint_every_epochs: epochs between checkpoints (the last one is always written).
        checkpoint_every_seconds: also within an epoch, when this long has passed; 0 for never.
        checkpoints_kept: older ones are deleted; at least 2, so that a damaged one has another.
    """

    epochs: int = Field(default=30, ge=1)
    batch_size: int = Field(default=64, ge=1)
    learning_rate: float = Field(default=0.05, gt=0.0)
    optimizer: str = "adam"
    optimizer_options: dict[str, Any] = Field(default_factory=dict)
    schedule: str = "cosine"
    schedule_options: dict[str, Any] = Field(default_factory=dict)
    gradient: str = "auto"
    backend: str = "statevector"
    backend_options: dict[str, Any] = Field(default_factory=dict)
    num_workers: int = Field(default=0, ge=0, le=1024)
    seed: int = Field(default=0, ge=0)
    checkpoint_every_epochs: int = Field(default=1, ge=1)
    checkpoint_every_seconds: float = Field(default=30.0, ge=0.0)
    checkpoints_kept: int = Field(default=2, ge=2)

    @model_validator(mode="after")
    def _known_names(self) -> Self:
        """Names and options are checked where they are written, not where they are used."""
        check_backend(self.backend, self.backend_options)
        if self.gradient not in ("auto", *GRADIENTS):
            raise unknown_name("gradient", self.gradient, ("auto", *GRADIENTS), field="gradient")
        get_optimizer(self.optimizer, self.optimizer_options)
        get_schedule(self.schedule, self.schedule_options)
        return self

    def recipe(self) -> dict[str, Any]:
        """The fields that decide the result: what a resumed run must have in common."""
        where = {
            "num_workers",
            "checkpoint_every_epochs",
            "checkpoint_every_seconds",
            "checkpoints_kept",
        }
        return {name: value for name, value in self.to_dict().items() if name not in where}


class ClusterConfig(Config):
    """Where Ray runs and what a worker takes.

    Args:
        address: of a running cluster; without it an initialised Ray is joined, then `RAY_ADDRESS`,
            and only then a Ray of our own is started on this machine, and stopped afterwards.
        cpus_per_worker: CPUs that Ray reserves; a worker uses as many threads (at least one).
        max_failures: how often workers may die before the run fails.
        object_store_mb: shared memory of a Ray of our own, MiB.
        start_timeout: seconds to wait for the cluster to have room for all workers.
    """

    address: str | None = None
    cpus_per_worker: float = Field(default=1.0, gt=0.0)
    max_failures: int = Field(default=3, ge=0)
    object_store_mb: int = Field(default=256, ge=80)
    start_timeout: float = Field(default=60.0, gt=0.0)
